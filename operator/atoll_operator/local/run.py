"""`atoll run`: one job, in one folder, on this machine, until it has ended."""

import asyncio
import json
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from atoll_api import names
from atoll_api.spec import TrainingJob
from atoll_api.spec.data import Data
from atoll_api.spec.islands import IslandOverride
from atoll_api.status import TrainingJobStatus
from atoll_api.work_order import JobIdentity
from atoll_operator.errors import PortInUseError
from atoll_operator.local.folder import RunFolder
from atoll_operator.local.options import LocalOptions
from atoll_operator.local.papers import Papers
from atoll_operator.local.runtime import Listeners, LocalRuntime
from atoll_operator.local.same_job import what_counts
from atoll_operator.plan.model import Complete, Outcome
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.status import ended_in, resumed
from atoll_operator.reconcile import run_until_ended
from atoll_telemetry import subject, tracing


async def run(
    job: TrainingJob,
    folder: Path,
    options: LocalOptions,
    on_status: Callable[[TrainingJobStatus], None],
    stop: asyncio.Event,
    on_event: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run or resume a job; sets no signal handler: set `stop` to stop it.

    Returns `Complete`, `Failed`, or `Stopped` when `stop` was set before the end. A job that
    is complete already stays so and starts nothing; one that failed is tried again, with a
    new restart budget and a new deadline. No child lives when this returns or raises.

    Raises:
        errors.OperatorError: with a line for the user and an exit code.
    """
    resolved = resolve(job, options.base_folder)
    place = RunFolder.at(folder)
    async with _locked(place, options) as lock_fd:
        place.adopt(resolved)
        without_report = _reopen(place, options.clock())
        _require_free(options.hub_port)
        listeners = Listeners(on_status, on_event)
        papers = Papers.issue(identity(resolved), pipeline(resolved.spec), place.identity)
        runtime = LocalRuntime(resolved, papers, place, lock_fd, options, listeners)
        remote = resolved.spec.artifacts.storage.object_store is not None
        if without_report or (remote and not place.has_report):
            # A folder that is new finds the job's objects in the bucket, but not its report.
            runtime.forget(names.REPORT_REF)
        stopper = asyncio.ensure_future(_forward(stop, runtime))
        try:
            # One run is one trace: a uid here is a function of the job, and the same for a rerun.
            with (
                subject.of(job=papers.job.name),
                tracing.trace(f"{papers.job.uid} {time.time_ns()}"),
            ):
                return await run_until_ended(resolved, runtime)
        finally:
            stopper.cancel()
            await runtime.close()


def resolve(job: TrainingJob, base_folder: Path) -> TrainingJob:
    """The job with data paths that do not depend on where it is read."""

    def absolute(data: Data) -> Data:
        scheme, _, rest = data.source.partition("://")
        if scheme != "file":
            return data
        return data.model_copy(update={"source": f"file://{(base_folder / rest).absolute()}"})

    def own(override: IslandOverride) -> IslandOverride:
        data = override.data
        return override if data is None else override.model_copy(update={"data": absolute(data)})

    spec = job.spec
    shared = spec.evaluation.data
    changed = {
        "data": absolute(spec.data),
        "islands": spec.islands.model_copy(
            update={"overrides": tuple(map(own, spec.islands.overrides))}
        ),
        "evaluation": spec.evaluation.model_copy(
            update={"data": None if shared is None else absolute(shared)}
        ),
    }
    return job.model_copy(update={"spec": spec.model_copy(update=changed)})


def identity(job: TrainingJob) -> JobIdentity:
    """A uid that is a function of what the job computes, so that a rerun has it too."""
    text = json.dumps(what_counts(job), sort_keys=True)
    return JobIdentity(name=job.metadata.name, uid=str(uuid.uuid5(uuid.NAMESPACE_URL, text)))


@asynccontextmanager
async def _locked(place: RunFolder, options: LocalOptions) -> AsyncIterator[int]:
    place.make()
    fd = await place.lock(options.timing.orphan_wait_seconds)
    try:
        yield fd
    finally:
        os.close(fd)


def _reopen(place: RunFolder, now: float) -> bool:
    """Go on with a job that has ended, if anything is missing; whether its report has to be made anew.

    A failure ends one run; the next one tries again. A run that was killed may have made its report
    and not have said so.
    """
    previous = place.read_status()
    if previous is None:
        return False
    complete = isinstance(ended_in(previous), Complete)
    without_report = not place.has_report
    if not complete or without_report or _names(previous) - place.bound_refs():
        place.write_status(resumed(previous, now))
    return without_report


def _names(status: TrainingJobStatus) -> set[str]:
    return {it.name for it in status.artifacts}


def _require_free(port: int) -> None:
    """Say it before anything starts; the hub itself would say it too late to be one line."""
    if port == 0:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortInUseError(
                f"port {port} cannot be used for the hub ({error.strerror}): "
                "choose another --hub-port, or leave it out"
            ) from error


async def _forward(stop: asyncio.Event, runtime: LocalRuntime) -> None:
    await stop.wait()
    runtime.request_stop()
