"""Progress over the connection to the hub: the latest report wins, and nobody waits for it.

With it go, now and then and at the end, the totals of what this process counted.
"""

import math
import threading
import time
import uuid
from collections.abc import Mapping

import grpc

from atoll.progress.v1 import progress_pb2 as pb
from atoll_api.status import Metric
from atoll_worker.errors import WorkerError
from atoll_worker.exchange.connection import UNARY_SECONDS, Connection
from atoll_worker.exchange.progress import MAX_METRICS
from atoll_worker.ports import ProgressReport, WireBytes

_MAX_MESSAGE_BYTES = 256
_FLUSH_SECONDS = 10.0
TOTALS_SECONDS = 10.0
"""Between two totals: all that is lost of a process that is killed."""


class HubProgress:
    """Progress of one step. `report` stores a reference; a thread sends it, once a second."""

    def __init__(self, connection: Connection, step: str, every_seconds: float = 1.0) -> None:
        self._connection = connection
        self._step = step
        self._every_seconds = every_seconds
        self._latest: ProgressReport | None = None
        self._sent: ProgressReport | None = None
        self._attempt = uuid.uuid4().hex
        self._next_totals = 0.0
        self._closed = threading.Event()
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._send_now_and_then, name="progress")
        self._thread.daemon = True
        self._thread.start()

    def report(self, report: ProgressReport) -> None:
        """See `ports.Progress.report`."""
        self._latest = report

    def snapshot(self) -> Mapping[str, ProgressReport]:
        """See `ports.Progress.snapshot`."""
        answer = self._connection.retry(
            lambda _: self._connection.progress.GetSnapshot(
                pb.GetSnapshotRequest(), timeout=UNARY_SECONDS
            )
        )
        return {step.step_name: _from_wire(step) for step in answer.steps}

    def close(self) -> None:
        """Send the last report and the last totals, if the hub is there to take them."""
        self._closed.set()
        self._thread.join()
        self.flush()

    def flush(self) -> None:
        """See `ports.Progress.flush`."""
        self._next_totals = 0.0
        latest = self._latest
        if latest is None or not self._is_news(latest):
            return
        try:
            self._connection.retry(lambda _: self._send(latest), _FLUSH_SECONDS)
        except WorkerError:
            return  # a report may be lost; a result may not be for its sake

    def _send_now_and_then(self) -> None:
        while not self._closed.wait(self._every_seconds):
            latest = self._latest
            if latest is None or not self._is_news(latest):
                continue
            try:
                self._send(latest)
            except grpc.RpcError:
                continue  # the next report says more

    def _is_news(self, report: ProgressReport) -> bool:
        return report is not self._sent or self._totals_due()

    def _totals_due(self) -> bool:
        return self._connection.tally.counts and time.monotonic() >= self._next_totals

    def _send(self, report: ProgressReport) -> None:
        with self._sending:  # or an older report could overtake this one
            request = pb.ReportRequest(progress=_to_wire(self._step, report))
            due = self._totals_due()
            if due:
                request.totals.CopyFrom(self._totals())
            self._connection.progress.Report(request, timeout=UNARY_SECONDS)
            self._sent = report
            if due:
                self._next_totals = time.monotonic() + TOTALS_SECONDS

    def _totals(self) -> pb.Totals:
        numbers = self._connection.tally.totals()
        samples = [
            pb.Sample(name=it.name, label_values=it.labels, value=it.value)
            for it in numbers
            if not math.isinf(it.value)  # as a gradient's norm may be
        ]
        return pb.Totals(attempt=self._attempt, samples=samples)


def _to_wire(step: str, report: ProgressReport) -> pb.StepProgress:
    wire = [
        pb.WireBytes(peer=it.peer, sent_bytes=it.sent_bytes, received_bytes=it.received_bytes)
        for it in report.training_wire
    ]
    message = report.message.encode()[:_MAX_MESSAGE_BYTES].decode(errors="ignore")
    return pb.StepProgress(
        step_name=step,
        done_count=report.done,
        total_count=report.total,
        loss=_finite(report.loss),
        samples_per_second=_finite(report.samples_per_second),
        message=message,
        training_wire=wire,
        metrics=[pb.Metric(**it.to_document()) for it in report.metrics[:MAX_METRICS]],
    )


def _from_wire(progress: pb.StepProgress) -> ProgressReport:
    return ProgressReport(
        done=progress.done_count,
        total=progress.total_count,
        loss=progress.loss if progress.HasField("loss") else None,
        samples_per_second=(
            progress.samples_per_second if progress.HasField("samples_per_second") else None
        ),
        message=progress.message,
        training_wire=tuple(
            WireBytes(it.peer, it.sent_bytes, it.received_bytes) for it in progress.training_wire
        ),
        metrics=tuple(Metric(name=m.name, model=m.model, value=m.value) for m in progress.metrics),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
