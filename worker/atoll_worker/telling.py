"""What a process says of itself: its log and its trace, from its begin to its end. No torch here."""

import logging
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from atoll_api import names
from atoll_api.exit_codes import ExitCode
from atoll_api.hub_order import JobIdentity
from atoll_telemetry import logs, subject, tracing
from atoll_worker.errors import DisruptedError, FinalError, WorkerError

_log = logging.getLogger(__name__)


class Order(Protocol):
    """What is told of a work order; by its parts, for a hub loads no order of another role."""

    @property
    def job(self) -> JobIdentity:
        """Which job."""
        ...

    @property
    def role(self) -> str:
        """What the process is."""
        ...

    @property
    def step(self) -> str:
        """And which of them."""
        ...


class _Now:
    """How this process logs."""

    settings = logs.LogSettings()


@contextmanager
def told(order: Order) -> Iterator[None]:
    """Log and trace one attempt of a step.

    Raises:
        FinalError: a setting of the log is nonsense.
    """
    try:
        _Now.settings = logs.read(os.environ)
    except logs.LogSettingsError as error:
        raise FinalError(str(error)) from error
    logs.set_up(_Now.settings)
    subject.of_process(
        job=order.job.name,
        namespace=os.environ.get(names.ENV_NAMESPACE) or None,
        step=order.step,
        island=getattr(order, "island", None),
    )
    tracing.set_up("atoll-hub" if order.role == names.HUB else "atoll-worker")
    began = time.monotonic()
    _log.info("%s of %s begins, as process %d", order.step, order.job.name, os.getpid())
    stopped: DisruptedError | None = None
    try:
        with tracing.attempt(order.role, order.job.uid):
            try:
                yield
            except DisruptedError as error:  # as it was asked to: that is no failure of the span
                stopped = error
                tracing.note(stopped=True)
        if stopped is not None:
            raise stopped
        seconds = time.monotonic() - began
        _log.info("done in %.1f s", seconds, extra=logs.extra(seconds=round(seconds, 3)))
    finally:
        tracing.shut_down()


def failed(failure: WorkerError, error: Exception, *, debug: bool) -> None:
    """Say more than the one plain line that follows, which is the last and for everybody.

    Args:
        failure: what that line says.
        error: what it was made of.
        debug: whether to show where it came from.
    """
    if _Now.settings.format == "json":
        level = logging.INFO if failure.exit_code == ExitCode.DISRUPTED else logging.ERROR
        code = logs.extra(exit_code=int(failure.exit_code))
        _log.log(level, "%s", failure, exc_info=error if debug else None, extra=code)
    elif debug:
        traceback.print_exception(error)
