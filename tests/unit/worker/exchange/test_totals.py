"""What the hub adds up over attempts, what it refuses, and what it has after a crash."""

import math
from typing import Any

import pytest

from atoll.progress.v1 import progress_pb2 as pb
from atoll_worker import metrics
from atoll_worker.exchange.manifest import ManifestError
from atoll_worker.exchange.totals import ENDED_KEPT, MAX_SAMPLES, MAX_STEPS, TotalsBook

STEPS = "atoll_train_steps_total"
LOSS = "atoll_train_loss"


def sample(name: str, value: float, *labels: str) -> pb.Sample:
    return pb.Sample(name=name, label_values=labels, value=value)


def put(book: TotalsBook, attempt: str, *samples: pb.Sample, step: str = "island-0") -> None:
    book.put(step, pb.Totals(attempt=attempt, samples=samples))


def shown(book: TotalsBook, step: str = "island-0") -> dict[tuple[str, tuple[str, ...]], float]:
    told = dict(book.steps())[step]
    return {**told.counted(), **told.gauges}


def test_attempts_are_added_up_and_gauges_are_the_last_word() -> None:
    book = TotalsBook()
    put(book, "a", sample(STEPS, 10), sample(LOSS, 2.0, "train"), sample(LOSS, 3.0, "holdout"))
    put(book, "a", sample(STEPS, 25))
    put(book, "b", sample(STEPS, 0))
    assert shown(book) == {(STEPS, ()): 25, (LOSS, ("train",)): 2.0, (LOSS, ("holdout",)): 3.0}
    put(book, "b", sample(STEPS, 5), sample(LOSS, 1.0, "train"))
    put(book, "c", sample(STEPS, 1))
    assert shown(book) == {(STEPS, ()): 31, (LOSS, ("train",)): 1.0, (LOSS, ("holdout",)): 3.0}


def test_what_comes_late_counts_once() -> None:
    book = TotalsBook()
    put(book, "a", sample(STEPS, 10))
    put(book, "b", sample(STEPS, 4))
    put(book, "a", sample(STEPS, 12))
    put(book, "b", sample(STEPS, 3))
    assert shown(book)[STEPS, ()] == 14


def test_series_that_the_hub_does_not_know_are_passed_over() -> None:
    book = TotalsBook()
    put(
        book,
        "a",
        sample("atoll_of_a_later_version_total", 1),
        sample(STEPS, 1, "label"),
        sample(LOSS, 1.0, "made-up"),
        sample("atoll_rpc_duration_seconds", 1, "Fetch", "client", "OK"),
        sample(STEPS, 2),
    )
    assert shown(book) == {(STEPS, ()): 2}


@pytest.mark.parametrize(
    ("totals", "limit"),
    [
        ({"attempt": ""}, "1 to 64 bytes"),
        ({"attempt": "a" * 65}, "1 to 64 bytes"),
        ({"samples": [pb.Sample()] * (MAX_SAMPLES + 1)}, "more than 256 samples"),
        ({"samples": [pb.Sample(name="n" * 129)]}, "more than 128 bytes"),
        ({"samples": [sample(LOSS, 1.0, "l" * 65)]}, "more than 64 bytes"),
        ({"samples": [sample(STEPS, -1)]}, "counts -1.0 of"),
        ({"samples": [sample(STEPS, math.nan)]}, "counts nan of"),
        ({"samples": [sample(STEPS, math.inf)]}, "counts inf of"),
        ({"samples": [sample(STEPS, 1e300)]}, "counts 1e[+]300 of"),
        ({"samples": [sample(LOSS, -math.inf, "train")]}, "not finite"),
    ],
)
def test_totals_that_break_a_limit_are_refused(totals: dict[str, Any], limit: str) -> None:
    book = TotalsBook()
    with pytest.raises(ManifestError, match=limit):
        book.put("island-0", pb.Totals(**{"attempt": "a", **totals}))
    assert not book.changed
    assert not list(book.steps())


def test_no_more_steps_than_may_report_progress() -> None:
    book = TotalsBook()
    for number in range(MAX_STEPS):
        put(book, "a", step=f"island-{number}")
    with pytest.raises(ManifestError, match="more than 4096 steps"):
        put(book, "a", step="one-more")
    put(book, "b", step="island-0")


def test_a_step_that_begins_again_and_again_does_not_grow() -> None:
    book = TotalsBook()
    for number in range(1000):
        put(book, str(number), sample(STEPS, 1))
    assert shown(book)[STEPS, ()] == 1000
    assert len(dict(book.steps())["island-0"].ended) == ENDED_KEPT


def test_a_hub_that_is_started_again_goes_on_adding() -> None:
    book = TotalsBook()
    put(book, "a", sample(STEPS, 10))
    put(book, "b", sample(STEPS, 4), sample(LOSS, math.nan, "train"))
    book.heard("island-0", 1234.5)
    again, changed = TotalsBook(), [book.changed]
    again.load(book.dump())
    assert [*changed, book.changed] == [True, False]
    assert again.times() == (("island-0", 1234.5),)
    put(again, "a", sample(STEPS, 11))
    put(again, "b", sample(STEPS, 6))
    assert shown(again)[STEPS, ()] == 16
    assert math.isnan(shown(again)[LOSS, ("train",)])
    put(again, "c", sample(STEPS, 1))
    assert shown(again)[STEPS, ()] == 17


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        b'{"steps": [], "heard": {}}',
        b'{"steps": {"island-0": {}}, "heard": {}}',
        b'{"steps": {"island-0": 5}, "heard": {}}',
        b'{"steps": {}, "heard": {"island-0": "soon"}}',
    ],
)
def test_a_file_that_was_altered_is_passed_over(content: bytes) -> None:
    book = TotalsBook()
    put(book, "a", sample(STEPS, 10))
    book.load(content)
    assert shown(book)[STEPS, ()] == 10


def test_all_that_a_process_can_tell_fits_into_one_report() -> None:
    samples = [
        sample(family.name, 1.0, *labels)
        for family in metrics.ALL
        if family.name in metrics.REPORTED
        for labels in family.known_series()
    ]
    assert len(samples) < MAX_SAMPLES
    totals = pb.Totals(attempt="a" * 32, samples=samples)
    assert totals.ByteSize() < 16 << 10, "a ReportRequest may have 64 KiB"


def test_a_number_that_no_float_holds_is_passed_over() -> None:
    """A hub that found one in totals.json did not start."""
    book = TotalsBook()
    book.load(b'{"steps": {}, "heard": {"island-0": 1' + b"0" * 400 + b"}}")
    assert not list(book.times())
