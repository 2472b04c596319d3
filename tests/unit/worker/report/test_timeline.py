"""A timeline says what the status remembers, in its place, and puts nothing where it has none."""

from typing import Any

import pytest

from atoll_api.status import Moment, StepState, StepStatus, TrainingJobStatus
from atoll_worker.report.timeline import (
    MAX_ISLANDS,
    Timeline,
    duration,
    seconds_of,
    timeline_of,
    with_timeline,
)

BEGIN = "2026-01-31T12:00:00Z"
LATER = seconds_of("2026-01-31T12:01:40Z")
PAGE = "<p>a</p>\n<!-- timeline -->\n<!-- /timeline -->\n<p>b</p>"


def at(state: StepState, seconds: float) -> Moment:
    minutes, rest = divmod(seconds, 60)
    return Moment(state=state, since=f"2026-01-31T12:{int(minutes):02d}:{rest:06.3f}Z")


def step(name: str, *history: Moment, **changes: Any) -> StepStatus:
    state = history[-1].state if history else "Waiting"
    return StepStatus(name=name, state=state, history=history, **changes)


def island(number: int, *history: Moment, **changes: Any) -> StepStatus:
    return step(f"island-{number}", *history, island=number, **changes)


def drawn(*steps: StepStatus, **changes: Any) -> Timeline:
    own = tuple(it for it in steps if it.island is None)
    islands = tuple(it for it in steps if it.island is not None)
    status = TrainingJobStatus(islands=islands, steps=own, start_time=BEGIN, **changes)
    found = timeline_of(status, LATER)
    assert found is not None
    return found


RESTARTED = island(
    0,
    *(at("Pending", 10), at("Running", 20), at("Pending", 50), at("Running", 60)),
    at("Succeeded", 90),
    restarts=1,
)


def test_each_stretch_is_in_its_place() -> None:
    (row,) = drawn(RESTARTED).rows
    assert [(it.state, it.begin, it.end) for it in row.spans] == [
        ("Pending", 10, 20),
        ("Running", 20, 50),
        ("Pending", 50, 60),
        ("Running", 60, 90),
    ]
    assert list(row.restarts) == [60]
    assert row.failed is None
    assert row.told == "60 s, 1 restart"


def test_what_has_not_ended_goes_to_now_and_what_has_to_its_end() -> None:
    running = island(1, at("Running", 25))
    going = drawn(running)
    assert (going.rows[0].spans[0].end, going.ended) == (100, False)
    done = drawn(island(1, at("Running", 25), at("Succeeded", 50)), completion_time=at_end(50))
    assert (done.seconds, done.ended, done.rows[0].spans[0].begin) == (50, True, 50)


def at_end(seconds: int) -> str:
    return f"2026-01-31T12:00:{seconds:02d}Z"


def test_moments_after_the_whole_second_of_the_end_are_on_the_picture() -> None:
    found = drawn(island(0, at("Running", 1), at("Succeeded", 9.7)), completion_time=at_end(9))
    assert found.seconds == pytest.approx(9.7)
    assert found.rows[0].spans[0].end == 100


def test_a_step_that_was_given_up_says_where() -> None:
    row = drawn(island(0, at("Running", 5), at("Failed", 40))).rows[0]
    assert row.failed == 40


def test_steps_stand_in_the_order_of_the_pipeline() -> None:
    found = drawn(
        step("partition", at("Running", 0)),
        step("evaluate", at("Running", 9)),
        *(island(it, at("Running", 1)) for it in (2, 0, 1)),
    )
    names = [row.name for row in found.rows]
    assert names == ["partition", "island-0", "island-1", "island-2", "evaluate"]


def test_of_many_islands_those_in_trouble_are_shown() -> None:
    many = [island(it, at("Running", 1), at("Succeeded", 2)) for it in range(100)]
    many[3] = island(3, at("Running", 1), at("Failed", 2))
    many[70] = island(70, at("Running", 1), restarts=2)
    found = drawn(*many)
    names = [row.name for row in found.rows]
    assert len(names) == MAX_ISLANDS
    assert {"island-3", "island-70"} < set(names)
    assert found.hidden == 100 - MAX_ISLANDS


@pytest.mark.parametrize(
    "status", [TrainingJobStatus(), TrainingJobStatus(start_time=BEGIN, steps=(step("router"),))]
)
def test_without_times_there_is_none(status: TrainingJobStatus) -> None:
    assert timeline_of(status, LATER) is None
    assert with_timeline(PAGE, None) == PAGE


def test_the_page_gets_it_once_and_the_newer_one_stays() -> None:
    first = with_timeline(PAGE, drawn(island(0, at("Running", 1))))
    assert "<h2>Timeline</h2>" in first
    second = with_timeline(first, drawn(RESTARTED))
    assert second.count("<h2>Timeline</h2>") == 1
    assert "1 restart" in second
    assert second.startswith("<p>a</p>")
    assert second.endswith("<p>b</p>")
    assert with_timeline("<p>older</p>", drawn(RESTARTED)) == "<p>older</p>"


def test_text_of_a_status_is_escaped() -> None:
    hostile = step("<script>\\1", at("Running", 1))
    page = with_timeline(PAGE, drawn(hostile))
    assert "<script>" not in page
    assert "&lt;script&gt;\\1" in page


def test_ticks_are_few_and_round() -> None:
    ticks = drawn(RESTARTED).ticks
    assert [text for _, text in ticks] == ["0 s", "20 s", "40 s", "1:00", "1:20", "1:40"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10 s"), (71.2, "71 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
