"""The hub of a run: the one that is running, or one started for a moment over the same store."""

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atoll_api import names, work_order
from atoll_api.work_order import HubOrder
from atoll_cli import runs
from atoll_cli.errors import CliError, ExitCode
from atoll_operator import progress
from atoll_operator.errors import HubUnavailableError
from atoll_operator.local.options import LocalOptions
from atoll_operator.local.run import identity
from atoll_worker.exchange.client import ExchangeClient

START_SECONDS = 60.0


@contextmanager
def artifacts_of(folder: Path) -> Iterator[ExchangeClient]:
    """The artifacts of the run in `folder`, whether it is still going or not.

    Raises:
        CliError: the folder is no run's, or its store cannot be opened.
    """
    job = runs.read_job(folder)
    address = runs.read_status(folder).hub
    if address and asyncio.run(_answers(address)):
        with ExchangeClient(address, step="cli") as client:
            yield client
        return
    with tempfile.TemporaryDirectory() as scratch:
        order = HubOrder(
            job=identity(job),
            step=names.HUB,
            store=str(folder.resolve() / "hub"),
            ready_file=str(Path(scratch) / "ready.json"),
        )
        with (
            _started(order, Path(scratch)) as address,
            ExchangeClient(address, step="cli") as client,
        ):
            yield client


async def _answers(address: str) -> bool:
    try:
        await progress.snapshot(address)
    except HubUnavailableError:
        return False
    return True


@contextmanager
def _started(order: HubOrder, scratch: Path) -> Iterator[str]:
    document = scratch / "hub.json"
    document.write_text(work_order.dump(order))
    command = [*LocalOptions().worker_command, str(document)]
    environment = os.environ | {names.ENV_LIFELINE: "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        try:
            yield _address(process, Path(order.ready_file))
        finally:
            process.terminate()


def _address(process: "subprocess.Popen[str]", ready_file: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if ready_file.exists():
            return str(json.loads(ready_file.read_text())["address"])
        if process.poll() is not None:
            said = process.stderr.read().strip() if process.stderr else ""
            raise CliError(said.removeprefix("atoll: "), ExitCode(process.returncode))
        time.sleep(0.02)
    raise CliError(f"the hub of this run did not start within {START_SECONDS:.0f} s")
