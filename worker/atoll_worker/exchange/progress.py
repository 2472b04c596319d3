"""How far the steps are, as the hub keeps it: in memory, and now and then on disk."""

import math
import time
from collections.abc import Callable, Iterable

from google.protobuf import json_format

from atoll.progress.v1 import progress_pb2 as pb
from atoll_worker.exchange.manifest import ManifestError
from atoll_worker.exchange.totals import TotalsBook

MAX_STEPS = 4096
MAX_STEP_NAME_BYTES = 128
MAX_MESSAGE_BYTES = 256
MAX_PEERS = 8
MAX_METRICS = 16
MAX_METRIC_BYTES = 64
"""Of each of its words."""
MAX_REPORT_BYTES = 2048
"""With fields of later versions: the reports of all steps have to fit into one answer."""


class ProgressBook:
    """The last report of each step. Written from one thread, read from any."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._steps: dict[str, pb.StepProgress] = {}
        self._clock = clock
        self.totals = TotalsBook()
        """What the steps have counted."""
        self.changed = False
        """Whether there is something that `dump` has not said yet."""

    def take(self, request: pb.ReportRequest) -> None:
        """Take a report with all that is in it.

        Raises:
            ManifestError: it breaks a limit, which the message names; it may be taken in part.
        """
        self.put(request.progress)
        self.totals.heard(request.progress.step_name, self._clock())
        if request.HasField("totals"):
            self.totals.put(request.progress.step_name, request.totals)

    def put(self, progress: pb.StepProgress) -> None:
        """Take how far a step is.

        Raises:
            ManifestError: it breaks a limit, which the message names.
        """
        _check(progress)
        if progress.step_name not in self._steps and len(self._steps) >= MAX_STEPS:
            raise ManifestError(f"more than {MAX_STEPS} steps report progress")
        self._steps[progress.step_name] = progress
        self.changed = True

    def steps(self) -> Iterable[pb.StepProgress]:
        """The last report of each step."""
        return self._steps.values()

    def dump(self) -> bytes:
        """All reports as JSON; on any thread, for a thousand take 30 ms."""
        self.changed = False
        document = pb.GetSnapshotResponse(steps=tuple(self._steps.values()))
        return json_format.MessageToJson(document, indent=None).encode()

    def load(self, content: bytes) -> None:
        """Take up what `dump` wrote; anything else is passed over, as no result depends on it."""
        try:
            document = json_format.Parse(content, pb.GetSnapshotResponse())
        except (json_format.ParseError, UnicodeDecodeError):
            return
        self._steps = {step.step_name: step for step in document.steps}


def _check(progress: pb.StepProgress) -> None:
    name = progress.step_name
    if not 0 < len(name.encode()) <= MAX_STEP_NAME_BYTES:
        raise ManifestError(f"a step's name has 1 to {MAX_STEP_NAME_BYTES} bytes")
    if len(progress.message.encode()) > MAX_MESSAGE_BYTES:
        raise ManifestError(f"the message of {name} is longer than {MAX_MESSAGE_BYTES} bytes")
    if len(progress.training_wire) > MAX_PEERS:
        raise ManifestError(f"{name} reports more than {MAX_PEERS} kinds of peers")
    if len(progress.metrics) > MAX_METRICS:
        raise ManifestError(f"{name} reports more than {MAX_METRICS} metrics")
    words = (word for it in progress.metrics for word in (it.name, it.model, it.value))
    if any(len(word.encode()) > MAX_METRIC_BYTES for word in words):
        raise ManifestError(f"{name} reports a metric with more than {MAX_METRIC_BYTES} bytes")
    if progress.ByteSize() > MAX_REPORT_BYTES:
        raise ManifestError(f"the report of {name} is longer than {MAX_REPORT_BYTES} bytes")
    wire = (it for peer in progress.training_wire for it in (peer.sent_bytes, peer.received_bytes))
    if min(progress.done_count, progress.total_count, *wire) < 0:
        raise ManifestError(f"{name} reports a number below 0")
    for value in (progress.loss, progress.samples_per_second):
        if not math.isfinite(value):
            raise ManifestError(f"{name} reports a number that is not finite")
