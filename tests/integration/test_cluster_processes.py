"""Processes of the cluster are found by their mark, whoever started them and died."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.cluster import processes
from tools.cluster.components import Component
from tools.cluster.lock import DOWN, UP, hold
from tools.cluster.processes import Mark
from tools.cluster.report import tail

SLEEPER = Component("etcd", ("/bin/sleep", "60"))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.end(processes.find(tmp_path), 0.0)


def test_a_started_process_is_found_and_ended(state: Path) -> None:
    processes.start(state, SLEEPER, state / "log")
    found = processes.running(state, SLEEPER)
    assert found is not None
    assert found.mark == Mark(state, "etcd", processes.digest(SLEEPER))
    processes.end([found], 5.0)
    assert processes.find(state) == ()


def test_another_state_folder_is_another_cluster(state: Path) -> None:
    processes.start(state, SLEEPER, state / "log")
    assert processes.find(state / "other") == ()
    assert processes.find(state.parent) == ()


def test_children_carry_the_mark_but_are_not_the_component(state: Path) -> None:
    parent = Component("containerd", ("/bin/sh", "-c", "sleep 60 & wait"))
    processes.start(state, parent, state / "log")
    deadline = time.monotonic() + 5
    while len(processes.find(state)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert {one.mark.component for one in processes.find(state)} == {"containerd"}
    main = processes.running(state, parent)
    assert main is not None
    assert main.executable == "/bin/sh"


def test_who_ignores_the_first_word_gets_the_second(state: Path) -> None:
    stubborn = Component("etcd", ("/bin/sh", "-c", "trap '' TERM; echo set; sleep 60 & wait; wait"))
    log = state / "log"
    processes.start(state, stubborn, log)
    while not log.read_text():
        time.sleep(0.01)
    processes.end(processes.find(state), 0.1)
    assert processes.find(state) == ()


def test_a_process_id_that_was_given_to_somebody_else_is_left_alone(state: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        stale = processes.Process(stranger.pid, "/bin/sleep", Mark(state, "etcd", "0"))
        processes.end([stale], 0.1)
        assert stranger.poll() is None
        stranger.kill()


def test_what_a_component_reads_is_a_part_of_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "configuration"
    path.write_text("a")
    component = Component("kubelet", ("kubelet",), (path,))
    first = processes.digest(component)
    path.write_text("b")
    assert processes.digest(component) != first


@pytest.mark.parametrize(
    "text", ["", "A=b", "ATOLL_TEST_CLUSTER=what", "XATOLL_TEST_CLUSTER=a:b:c"]
)
def test_no_mark(text: str) -> None:
    assert processes.read_mark(text.encode()) is None


def test_a_log_is_shown_by_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert tail(path, 2) == "(no log)"
    path.write_text("a\nb\nc\n")
    assert tail(path, 2) == "b\nc"


HOLDER = """
import signal, sys, time
from pathlib import Path
from tools.cluster.lock import hold
def end(*_):
    raise SystemExit(3)
signal.signal(signal.SIGTERM, end)
with hold(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
"""


def holder(path: Path, purpose: str, seconds: float) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", HOLDER, str(path), purpose, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_down_ends_an_up(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with holder(tmp_path / "lock", UP, 60) as other, hold(tmp_path / "lock", DOWN):
        assert other.wait() == 3
    assert f"ending the `up` of process {other.pid}" in capfd.readouterr().err


def test_a_second_up_waits(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with holder(tmp_path / "lock", UP, 0.2) as other, hold(tmp_path / "lock", UP):
        assert other.wait() == 0
    assert "waiting for the `up`" in capfd.readouterr().err


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with holder(tmp_path / "lock", UP, 60) as other:
        other.send_signal(signal.SIGKILL)
        with hold(tmp_path / "lock", UP):
            pass
