"""A row of a timeline in so many characters."""

import pytest

from atoll_cli.timelines import bar
from atoll_worker.report.timeline import Row, Span


def row(*spans: tuple[str, float, float], restarts: tuple[float, ...] = ()) -> Row:
    return Row("island-0", tuple(Span(*it, "") for it in spans), restarts, None, "")


def test_each_state_has_its_mark() -> None:
    drawn = bar(row(("Pending", 0, 20), ("Running", 20, 60), ("Waiting", 60, 80)), 10)
    assert drawn.plain == "░░████··  "


def test_a_restart_and_an_end_are_marks_too() -> None:
    failed = Row("island-0", row(("Running", 0, 100)).spans, (50,), 100, "")
    assert bar(failed, 10).plain == "█████│███✘"


@pytest.mark.parametrize("begin", [0.0, 49.9, 99.99, 100.0])
@pytest.mark.parametrize("width", [1, 3, 10, 80])
def test_the_shortest_span_is_seen_and_no_bar_is_too_long(begin: float, width: int) -> None:
    drawn = bar(row(("Running", begin, begin)), width)
    assert len(drawn.plain) == width
    assert drawn.plain.count("█") == 1
