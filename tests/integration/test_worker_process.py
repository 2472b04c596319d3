"""`python -m atoll_worker`: what the user reads, and the exit code, when something is wrong."""

import http.client
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from builders import make_job
from identities import Household

from atoll_api import work_order
from atoll_api.exit_codes import ExitCode
from atoll_api.hub_order import FolderStore
from atoll_api.resolved_job import ResolvedJob
from atoll_api.work_order import HubOrder, JobIdentity
from atoll_operator.identity import write
from atoll_worker import health


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "atoll_worker", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env={"ATOLL_LOG_LEVEL": "warning", **os.environ, "OMP_NUM_THREADS": "1"},
    )
    return done.returncode, done.stderr


def hub_order(tmp_path: Path, **changes: object) -> Path:
    hub = Household().identity("hub")
    order = HubOrder(
        job=JobIdentity(name="test", uid="0"),
        step="hub",
        identity=write([hub], tmp_path / "identity")[hub.process],
        store=FolderStore(folder=str(tmp_path / "store")),
        ready_file=str(tmp_path / "ready.json"),
    )
    path = tmp_path / "order.json"
    path.write_text(json.dumps(json.loads(work_order.dump(order)) | changes))
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "atoll: worker: the work order is not JSON"),
        ("[]", "has schema version None, this worker reads 1"),
        ('{"schemaVersion": 2}', "has schema version 2, this worker reads 1: run the worker"),
        ('{"schemaVersion": 1, "role": "king"}', "the work order is not valid at"),
    ],
)
def test_an_order_that_is_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "order.json"
    path.write_text(content)
    code, said = run(str(path))
    assert code == ExitCode.FINAL
    assert message in said
    assert said.count("\n") == 1


def test_a_setting_of_the_log_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOLL_LOG_FORMAT", "xml")
    code, said = run(str(hub_order(tmp_path)))
    assert code == ExitCode.FINAL
    assert said == "atoll: hub: ATOLL_LOG_FORMAT is 'xml': say json or text\n"


def test_an_order_that_is_not_there(tmp_path: Path) -> None:
    code, said = run(str(tmp_path / "order.json"))
    assert code == ExitCode.FINAL
    assert said == (
        f"atoll: worker: the work order {tmp_path}/order.json cannot be read: "
        "No such file or directory\n"
    )


def test_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    code, said = run(str(hub_order(tmp_path)))
    assert code == ExitCode.FAILED
    assert said.startswith(f"atoll: hub: the disk of {tmp_path}/store failed")
    assert said.count("\n") == 1


def test_a_step_of_two_lines_is_one_all_the_same(tmp_path: Path) -> None:
    code, said = run(str(hub_order(tmp_path, step="hub\nof two lines", host="192.0.2.1")))
    assert code != ExitCode.OK
    assert said.startswith("atoll: hub of two lines: ")
    assert said.count("\n") == 1


def test_a_host_that_is_not_here(tmp_path: Path) -> None:
    code, said = run(str(hub_order(tmp_path, host="192.0.2.1")))
    assert code == ExitCode.FAILED
    assert said.startswith("atoll: hub: cannot listen on 192.0.2.1:0: ")
    assert said.count("\n") == 1


def test_an_error_nobody_foresaw_is_one_line_and_debug_shows_where(tmp_path: Path) -> None:
    order = str(hub_order(tmp_path, readyFile=str(tmp_path / "order.json" / "ready")))
    code, said = run(order)
    assert code == ExitCode.FAILED
    assert said.startswith("atoll: hub: ")
    assert said.count("\n") == 1
    assert "Traceback" in run(order, "--debug")[1]


def job_file(tmp_path: Path) -> Path:
    resolved = ResolvedJob(
        job=JobIdentity(name="digits", uid="0"),
        namespace="default",
        spec=make_job().spec,
        image="atoll",
        fingerprint="f",
    )
    path = tmp_path / "job.json"
    path.write_text(json.dumps(resolved.to_document()))
    return path


def test_a_step_computes_its_order_from_the_job(tmp_path: Path) -> None:
    """It gets as far as looking for its certificate, where a pod has it."""
    code, said = run("--job", str(job_file(tmp_path)), "--step", "island-2")
    assert code == ExitCode.FINAL
    assert said.startswith("atoll: island-2: ")
    assert "/etc/atoll/identity/tls.crt" in said


@pytest.mark.parametrize("step", ["hub", "king", "island", "merge"])
def test_what_is_no_step_is_told(tmp_path: Path, step: str) -> None:
    code, said = run("--job", str(job_file(tmp_path)), "--step", step)
    assert code == ExitCode.FINAL
    assert f"{step!r} is no step" in said


@pytest.mark.parametrize("arguments", [(), ("--job", "j"), ("--step", "s"), ("o", "--job", "j")])
def test_an_order_or_a_job_and_a_step(arguments: tuple[str, ...]) -> None:
    code, said = run(*arguments)
    assert code == ExitCode.USAGE
    assert "give an order, or --job and --step" in said


def test_a_hub_is_healthy_once_it_serves(tmp_path: Path) -> None:
    order = hub_order(tmp_path)
    command = [sys.executable, "-m", "atoll_worker", str(order), "--metrics-port", "0"]
    assert not (tmp_path / "ready.json").exists()
    ready = False
    port = health.serve(0, lambda: ready)
    assert status_of(port, "/healthz") == 503
    ready = True
    assert status_of(port, "/healthz") == 200
    assert status_of(port, "/") == 404
    with subprocess.Popen(command, stderr=subprocess.PIPE) as hub:
        while not (tmp_path / "ready.json").exists():
            assert hub.poll() is None
        hub.terminate()


def status_of(port: int, path: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status
