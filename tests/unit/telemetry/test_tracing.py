"""Traces cost nothing until somebody asks for them, and never more than spans when nobody takes them."""

import asyncio
import logging
import subprocess
import sys
import time
import timeit
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from socket import create_server

import pytest
from collector import Collector, collecting

from atoll_telemetry import logs, subject, tracing

UID = "0b6a1e0e-6d3f-4a6e-9c55-2f1a3c9d8e77"
PATIENCE_SECONDS = 5.0
"""A flush of half a second, and a machine with something else to do; the SDK alone would wait 10 s."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(autouse=True)
def after() -> Iterator[None]:
    yield
    tracing.shut_down(0.1)
    subject.of_process()
    logging.getLogger("opentelemetry").setLevel(logging.NOTSET)


def trace_of(uid: str) -> str:
    return f"{tracing.place_of(uid).trace_id:032x}"


@pytest.fixture
def started(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Collector:
    """Tracing to a collector, as by the environment: the SDK reads that itself."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    tracing.set_up("atoll-test")
    return collector


def test_nothing_is_loaded_until_somebody_asks() -> None:
    program = (
        "import sys; from atoll_telemetry import logs, tracing; tracing.set_up('x', {});\n"
        "with tracing.trace('a'), tracing.attempt('b', 'c'), tracing.span('d', e=1):\n"
        "    tracing.note(f=2); assert tracing.headers() is None\n"
        "    with tracing.answer('g', lambda: 1 / 0): pass\n"
        "tracing.root('h', 0.0); tracing.shut_down()\n"
        "assert tracing.environment() == tracing.ids() == {}\n"
        "print(sorted(it for it in sys.modules if it.startswith(('opentelemetry', 'grpc'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_span_that_nobody_asked_for_costs_what_a_call_costs() -> None:
    nothing = nullcontext[None](None)

    def plain(name: str, **_: object) -> AbstractContextManager[None]:
        return nullcontext() if name else nothing

    def of(make: object) -> float:
        statement = "with make('publish', ref='experts/0', bytes=17): pass"
        return min(timeit.repeat(statement, globals={"make": make}, number=20_000, repeat=7))

    assert of(tracing.span) < 3 * of(plain)


def test_a_job_has_one_trace_for_all_its_processes() -> None:
    known = "00-a64181a682e4cba30947316b8d431a02-0a7678b89fe2a306-01"
    assert str(tracing.place_of(UID)) == known, "processes of two releases share a trace"
    assert tracing.place_of("digits 1").trace_id != tracing.place_of("digits 2").trace_id


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, "http://a"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "b:1", "OTEL_EXPORTER_OTLP_ENDPOINT": "a"}, "b:1"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "True"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_TRACES_EXPORTER": "none"}, ""),
    ],
)
def test_who_asks_for_them(environment: dict[str, str], expected: str) -> None:
    assert tracing.endpoint(environment) == expected


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("", ""),
        ("http://collector.lab:4000/", "collector.lab:4000"),
        ("https://collector", "collector:4317"),
        ("10.0.0.1:99", "10.0.0.1:99"),
        ("collector", "collector:4317"),
    ],
)
def test_where_a_collector_is(endpoint: str, expected: str) -> None:
    assert tracing.address_of(endpoint) == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:port"}, "no traces: ValueError"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "the protocol is http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "no traces: ValueError: could not convert"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "1"}, "no traces: ValueError"),
    ],
)
def test_nonsense_means_no_traces_and_a_line(
    variables: dict[str, str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tracing.set_up("atoll-test")
    assert expected in caplog.text
    with tracing.span("work"):
        assert tracing.ids() == {}


def test_spans_of_a_process_are_one_tree(started: Collector) -> None:
    subject.of_process(job="digits", step="island-1", island=1)
    with tracing.attempt("island", UID):
        with tracing.span("train", steps=5, loss=None), tracing.span("publish", ref="x"):
            tracing.note(bytes=7)
            headers = tracing.headers()
        with pytest.raises(ValueError, match="bad"), tracing.span("merge"):
            raise ValueError("bad")
    tracing.shut_down()
    assert headers is not None
    assert {it.trace_id for it in started.spans} == {trace_of(UID)}
    (attempt,), (train,), (publish,), (merge,) = (
        started.named(it) for it in ("island", "train", "publish", "merge")
    )
    assert attempt.parent_id == f"{tracing.place_of(UID).span_id:016x}"
    assert (started.parent_of(train), started.parent_of(publish)) == (attempt, train)
    assert train.attributes == {
        "atoll.job": "digits",
        "atoll.step": "island-1",
        "atoll.island": 1,
        "atoll.steps": 5,
    }
    assert publish.attributes["atoll.bytes"] == 7
    assert [it.failed for it in (attempt, train, merge)] == [False, False, True]
    assert headers[0][1].split("-")[1:3] == [publish.trace_id, publish.span_id]


def test_another_thread_writes_below_the_attempt(started: Collector) -> None:
    def save() -> None:
        with tracing.span("checkpoint"):
            pass

    with tracing.attempt("island", UID), ThreadPoolExecutor(1) as pool:
        pool.submit(save).result()
    tracing.shut_down()
    (checkpoint,) = started.named("checkpoint")
    assert started.parent_of(checkpoint).name == "island"


async def test_jobs_that_are_worked_on_at_once_have_traces_of_their_own(started: Collector) -> None:
    both = asyncio.Barrier(2)
    uids = [str(uuid.uuid4()) for _ in range(2)]

    async def work(uid: str) -> None:
        with tracing.trace(uid), tracing.span("reconcile", uid=uid):
            await both.wait()
            with tracing.span("apply", uid=uid):
                await both.wait()
            tracing.root("job", time.time() - 5, uid=uid)

    await asyncio.gather(*map(work, uids))
    tracing.shut_down()
    assert len(started.spans) == 6
    for span in started.spans:
        assert span.trace_id == trace_of(span.attributes["atoll.uid"])
    for job in started.named("job"):
        assert job.parent_id == ""
        assert 4e9 < job.ended_ns - job.began_ns < 60e9
        below = [it.name for it in started.spans if it.parent_id == job.span_id]
        assert below == ["reconcile"]


def test_a_callee_writes_below_its_caller(started: Collector) -> None:
    with tracing.attempt("island", UID), tracing.span("publish"):
        told = tracing.headers()
    with tracing.attempt("hub", str(uuid.uuid4())):
        with tracing.answer("receive", lambda: told):
            pass
        for odd in (None, (), (("traceparent", "00-0-0-00"),), (("other", b"x"),), 7):
            with tracing.answer("receive", lambda odd=odd: odd):  # type: ignore[misc]
                pass
    tracing.shut_down()
    receive, *of_strangers = started.named("receive")
    assert started.parent_of(receive).name == "publish"
    assert {started.parent_of(it).name for it in of_strangers} == {"hub"}
    assert len(of_strangers) == 5


def test_a_child_writes_of_the_trace_that_it_is_told_of(
    started: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracing.trace("digits 1"):
        monkeypatch.setenv(*next(iter(tracing.environment().items())))
    tracing.shut_down()
    tracing.set_up("atoll-test")
    with tracing.attempt("island", UID):
        pass
    tracing.shut_down()
    place = tracing.place_of("digits 1")
    (span,) = started.spans
    assert (span.trace_id, span.parent_id) == (f"{place.trace_id:032x}", f"{place.span_id:016x}")


def test_a_sampler_decides_for_the_whole_trace(
    started: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracing.shut_down()
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    tracing.set_up("atoll-test")
    uids = [str(uuid.uuid4()) for _ in range(40)]
    for uid in uids:
        with tracing.attempt("island", uid), tracing.span("train"):
            pass
        with tracing.trace(uid):
            tracing.root("job", time.time())
    tracing.shut_down()
    seen = [it.trace_id for it in started.spans]
    assert {seen.count(trace_of(uid)) for uid in uids} == {0, 3}


def test_lines_of_the_log_name_the_span(started: Collector) -> None:
    record = logging.LogRecord("atoll", logging.INFO, "x.py", 1, "said", None, None)
    with tracing.attempt("island", UID):
        line = logs.document_of(record)
    tracing.shut_down()
    (span,) = started.spans
    assert (line["trace_id"], line["span_id"]) == (span.trace_id, span.span_id)


def test_the_last_spans_arrive_though_the_process_is_short(started: Collector) -> None:
    for number in range(1500):
        with tracing.span("round", round=number):
            pass
    tracing.shut_down()
    assert len(started.spans) == 1500


def test_a_closed_port_delays_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    tracing.set_up("atoll-test")
    assert _work_and_end() < PATIENCE_SECONDS
    assert "opentelemetry" not in {it.name.partition(".")[0] for it in caplog.records}


def test_a_collector_that_never_answers_delays_little(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting(silent=True) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        tracing.set_up("atoll-test")
        assert _work_and_end() < PATIENCE_SECONDS


def test_a_port_that_accepts_and_says_nothing_delays_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{mute.getsockname()[1]}"
        )
        tracing.set_up("atoll-test")
        assert _work_and_end() < PATIENCE_SECONDS


def test_lost_spans_are_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    tracing.set_up("atoll-test")
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        with tracing.span("round"):
            time.sleep(0.02)
    tracing.shut_down()
    assert caplog.text.count("takes no traces") == 1


def _work_and_end() -> float:
    """Write more spans than are kept, and end; seconds that the end takes."""
    with tracing.attempt("island", UID):
        for number in range(5000):
            with tracing.span("round", round=number):
                pass
    began = time.monotonic()
    tracing.shut_down(0.5)
    return time.monotonic() - began
