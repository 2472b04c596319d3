"""What the operator tells of its passes: spans of the job's own trace, and lines with the job's name."""

import logging
from collections.abc import Iterator

import pytest
from builders import job_document
from collector import Collector, collecting
from kube_story import NAMESPACE, Cluster, OperatorProcess, run_until
from virtual_time import in_virtual_time

from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_telemetry import logs, tracing


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.endpoint)
        tracing.set_up("atoll-operator")
        yield found
        tracing.shut_down()
    logging.getLogger("opentelemetry").setLevel(logging.NOTSET)


class Lines(logging.Handler):
    """What each line says when it is written, for later it would be about nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[logs.Document] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(logs.document_of(record))


def test_passes_over_a_job_are_told_of_with_its_name(collector: Collector) -> None:
    cluster, lines, ours = Cluster(), Lines(), logging.getLogger("atoll_operator")

    @in_virtual_time
    async def whole() -> None:
        cluster.submit(job_document(**{"islands.count": 2}))
        process = OperatorProcess(cluster, FakeApi(cluster.server))
        assert await run_until(cluster, process, "Complete", 120.0)

    before = ours.level
    ours.addHandler(lines)
    ours.setLevel(logging.INFO)
    try:
        whole()
    finally:
        ours.removeHandler(lines)
        ours.setLevel(before)
    tracing.shut_down()
    place = tracing.place_of(cluster.job().uid)
    assert {it.trace_id for it in collector.spans} == {f"{place.trace_id:032x}"}
    (job,) = collector.named("job")
    assert job.span_id == f"{place.span_id:016x}", "what pods take for the root"
    assert {it.parent_id for it in collector.named("reconcile")} == {job.span_id}
    started = [it.attributes["atoll.step"] for it in collector.named("StartStep")]
    assert sorted(started) == ["evaluate", "island-0", "island-1", "partition", "router"]
    for it in collector.spans:
        assert it.attributes["atoll.job"] == "digits"
        assert it.attributes["atoll.namespace"] == NAMESPACE
    assert {"partition: done", "island-1: done"} <= {it["msg"] for it in lines.found}
    assert all((it["job"], it["namespace"]) == ("digits", NAMESPACE) for it in lines.found)
