"""The hub of a run: the one that is running, or one started for a moment over the same store."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from atoll_api import names, work_order
from atoll_api.names import Process
from atoll_api.ordering import hub_order
from atoll_api.work_order import HubOrder
from atoll_cli import runs
from atoll_cli.errors import CliError, ExitCode
from atoll_operator.identity import files_of
from atoll_operator.local.environment import hub_environment
from atoll_operator.local.folder import RunFolder
from atoll_operator.local.hub import hub_place
from atoll_operator.local.options import LocalOptions
from atoll_operator.local.papers import Papers
from atoll_operator.local.run import identity
from atoll_worker.errors import IdentityError, UnavailableError
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.identity import Credentials, load

START_SECONDS = 60.0
ANSWER_SECONDS = 2.0
"""A hub that is there answers within it; for one that is not, nobody waits longer."""


@contextmanager
def artifacts_of(folder: Path) -> Iterator[ExchangeClient]:
    """The artifacts of the run in `folder`, whether it is still going or not.

    Raises:
        CliError: the folder is no run's, or its store cannot be opened.
    """
    known = runs.read_job(folder)
    job = identity(known)
    address = runs.read_status(folder).hub
    place = RunFolder.at(folder)
    running = _running(address, Process(job.uid, names.CLI), place) if address else None
    if address and running:
        with ExchangeClient(address, running) as client:
            yield client
        return
    with tempfile.TemporaryDirectory() as scratch:
        papers = Papers.issue(job, (), Path(scratch) / "identity")
        here = hub_place(place, papers, Path(scratch) / "ready.json")
        order = hub_order(job, known.spec, here)
        own = load(papers.files(names.CLI), Process(job.uid, names.CLI), datetime.now(UTC))
        with _started(order, Path(scratch)) as started, ExchangeClient(started, own) as client:
            yield client


def _running(address: str, process: Process, place: RunFolder) -> Credentials | None:
    """What to prove oneself with to the hub of this very run; None if it is not there."""
    patience = Patience(ANSWER_SECONDS, ANSWER_SECONDS)
    try:
        own = load(files_of(process, place.identity), process, datetime.now(UTC))
        with ExchangeClient(address, own, patience) as client:
            client.snapshot()
    except (UnavailableError, IdentityError):
        return None
    return own


@contextmanager
def _started(order: HubOrder, scratch: Path) -> Iterator[str]:
    document = scratch / "hub.json"
    document.write_text(work_order.dump(order))
    command = [*LocalOptions().worker_command, str(document)]
    environment = hub_environment(os.environ)
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
