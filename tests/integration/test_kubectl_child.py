"""kubectl as a child process: a port while it is needed, one line when it fails, and never an orphan.

What stands in for kubectl here is a script that says what kubectl says.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atoll_cli.cluster.forwarding import forwarded
from atoll_cli.cluster.kubectl import find_kubectl, reason
from atoll_cli.cluster.place import Place
from atoll_cli.errors import CliError

PLACE = Place("lab", "kind-lab", (Path("/config/one"), Path("/config/two")))
SERVES = 'echo "$@" "$KUBECONFIG" > "$0.asked"; echo $$ > "$0.pid"\n'
OPENS = SERVES + 'echo "Forwarding from 127.0.0.1:4711 -> 7443"; exec sleep 600\n'
HOLDS = """
import signal, sys, time
from pathlib import Path
from atoll_cli.cluster.forwarding import forwarded
from atoll_cli.cluster.kubectl import Kubectl
from atoll_cli.cluster.place import Place
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run where it is ignored
with forwarded(Kubectl(sys.argv[1], Place("lab")), "digits-hub", 7443):
    print("open", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where kubectl is looked for first."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "kubectl"


def install(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)


def pid_of(program: Path) -> int:
    return int(program.with_name("kubectl.pid").read_text())


def is_gone(pid: int, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_a_port_is_open_for_as_long_as_the_block(program: Path) -> None:
    install(program, OPENS)
    with forwarded(find_kubectl(PLACE, "this"), "digits-hub", 7443) as forward:
        assert forward.address == "127.0.0.1:4711"
        assert forward.ended() is None
        pid = pid_of(program)
        os.kill(pid, 0)
    assert is_gone(pid)
    asked = program.with_name("kubectl.asked").read_text().split()
    assert asked[:4] == [
        "--namespace=lab", "--context=kind-lab", "port-forward", "service/digits-hub",
    ]  # fmt: skip
    assert asked[-1] == "/config/one:/config/two"


def test_it_ends_when_the_block_breaks(program: Path) -> None:
    install(program, OPENS)
    with pytest.raises(RuntimeError), forwarded(find_kubectl(PLACE, "this"), "x", 1):
        raise RuntimeError
    assert is_gone(pid_of(program))


def test_why_kubectl_does_not_open_it_is_one_line(program: Path) -> None:
    refusal = 'Error from server (NotFound): services \\"x\\" not found'
    install(program, f'echo Note: x >&2; echo "{refusal}" >&2; exit 1\n')
    expected = r'^kubectl opens no port to x: \(NotFound\): services "x" not found$'
    with (
        pytest.raises(CliError, match=expected),
        forwarded(find_kubectl(PLACE, "this"), "x", 1),
    ):
        pass


def test_a_way_that_breaks_says_why(program: Path) -> None:
    install(program, OPENS.replace("exec sleep 600", "sleep 0.2; echo lost >&2; exit 1"))
    with forwarded(find_kubectl(PLACE, "this"), "x", 1) as forward:
        forward.process.wait(10)
        assert forward.ended() == "lost"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_never_outlives_whoever_started_it(program: Path, number: signal.Signals) -> None:
    install(program, OPENS)
    command = [sys.executable, "-c", HOLDS, str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        process.send_signal(number)
        process.wait(10)
    assert is_gone(pid_of(program))


def test_without_kubectl_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CliError, match="kubectl is not on the PATH, and reading logs needs it"):
        find_kubectl(PLACE, "reading logs")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", "kubectl ended without a word"),
        (
            "a\nerror: timed out waiting for the condition\n\n",
            "timed out waiting for the condition",
        ),
    ],
)
def test_the_reason_is_the_last_line(said: str, expected: str) -> None:
    assert reason(said) == expected
