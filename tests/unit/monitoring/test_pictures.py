"""What a picture says: numbers with their unit, rows of tables, colours, blocks of time."""

import math
from typing import Any

import pytest

from tools.monitoring.pictures.amounts import said
from tools.monitoring.pictures.answers import Answer, Shown, rows
from tools.monitoring.pictures.charts import blocks
from tools.monitoring.pictures.page import KINDS
from tools.monitoring.pictures.prometheus import Series, Span
from tools.monitoring.pictures.style import colour_at, shortened


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.5, "none", "0.5"),
        (1234.0, "none", "1234"),
        (0.123456, "none", "0.123"),
        (math.nan, "none", "-"),
        (math.inf, "s", "inf"),
        (0.8, "percentunit", "80 %"),
        (0, "s", "0 s"),
        (0.0042, "s", "4.2 ms"),
        (2e-5, "s", "20 µs"),
        (90.0, "s", "1.5 min"),
        (300 * 86400.0, "s", "300 d"),
        (-7200.0, "s", "-2 h"),
        (1536.0, "bytes", "1.5 KiB"),
        (0, "bytes", "0 B"),
        (3.2e6, "Bps", "3.2 MB/s"),
        (12_345.0, "short", "12.3 K"),
        (1e-3, "sci", "0.001"),
        (770.0, "suffix: /s", "770 /s"),
        (0, "dateTimeAsIso", "-"),
        (3_600_000.0, "dateTimeAsIso", "01:00:00"),
    ],
)
def test_a_number_with_its_unit(value: float, unit: str, expected: str) -> None:
    assert said(value, unit) == expected


def answer(query: int, value: float, **labels: str) -> Answer:
    return Answer("", Series(labels, (0.0,), (value,)), query)


def table(*answers: Answer, hidden: tuple[str, ...] = ()) -> Shown:
    names = {"state": "is", "job": "job", "Value #A": "first", "Value #B": "second"}
    options = {
        "renameByName": dict(sorted(names.items())),
        "indexByName": {name: index for index, name in enumerate(names)},
        "excludeByName": dict.fromkeys(hidden, True),
    }
    panel: dict[str, Any] = {
        "type": "table",
        "targets": [{}, {}],
        "transformations": [{"id": "merge"}, {"id": "organize", "options": options}],
    }
    return Shown(panel, answers)


def test_rows_are_merged_by_the_labels_that_both_have() -> None:
    a, b = answer(0, 1.0, job="a"), answer(0, 2.0, job="b")
    state = answer(1, 1.0, job="b", state="Running")
    heads, found = rows(table(a, b, state))
    assert heads == ["is", "job", "first", "second"]
    assert found == [["", "a", a, ""], ["Running", "b", b, state]]


def test_a_row_that_only_a_later_query_knows_is_one_too() -> None:
    later = answer(1, 5.0, job="c")
    assert rows(table(later))[1] == [["", "c", "", later]]


def test_a_hidden_column_gives_its_labels_alone() -> None:
    first = answer(0, 1.0, job="a", state="Failed")
    heads, found = rows(table(first, hidden=("Value #A",)))
    assert heads == ["is", "job", "second"]
    assert found == [["Failed", "a", ""]]


def test_equal_values_are_one_block_and_a_gap_ends_it() -> None:
    span = Span(0, 10, 1)
    it = Answer("", Series({}, (0, 1, 2, 3, 7), (1, 1, 2, 2, 2)), 0)
    assert blocks(it, span) == [(0, 2, 1), (2, 4, 2), (7, 8, 2)]


def test_the_last_value_is_the_last_that_is_a_number() -> None:
    assert Answer("", Series({}, (0, 1, 2), (1, 3, math.nan)), 0).last == 3
    assert math.isnan(Answer("", Series({}, (), ()), 0).last)


def test_a_colour_is_that_of_the_limit_that_is_reached() -> None:
    limits = [(-math.inf, "#0"), (1.0, "#1"), (2.0, "#2")]
    assert [colour_at(it, limits) for it in (0.5, 1.0, 1.9, 2.0)] == ["#0", "#1", "#1", "#2"]


def test_text_is_shortened_to_its_room() -> None:
    assert shortened("island-0", 8) == "island-0"
    assert shortened("island-10", 8) == "island-…"


def test_every_kind_that_there_is_can_be_drawn() -> None:
    assert set(KINDS) >= {"timeseries", "stat", "table", "heatmap", "state-timeline", "row"}
