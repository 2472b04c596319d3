"""`python -m atoll_worker`: what the user reads, and the exit code, when something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from identities import Household

from atoll_api import work_order
from atoll_api.exit_codes import ExitCode
from atoll_api.hub_order import FolderStore
from atoll_api.work_order import HubOrder, JobIdentity
from atoll_operator.identity import write


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "atoll_worker", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
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
