"""What a picture says: numbers with their unit, rows of tables, colours, blocks of time."""

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tools.monitoring.pictures.__main__ import FOLDER, main
from tools.monitoring.pictures.amounts import said
from tools.monitoring.pictures.answers import Answer, Shown, rows, shown
from tools.monitoring.pictures.charts import blocks, ticks
from tools.monitoring.pictures.page import KINDS, draw
from tools.monitoring.pictures.prometheus import Prometheus, Series, Span
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


@pytest.mark.parametrize(
    ("top", "unit", "expected"),
    [
        (2**21, "bytes", [0, 0.5 * 2**20, 2**20, 1.5 * 2**20, 2**21]),
        (120.0, "s", [0, 30, 60, 90, 120]),
        (4.0, "none", [0, 1, 2, 3, 4]),
        (0.0, "bytes", None),
    ],
)
def test_ticks_are_round_in_their_unit(top: float, unit: str, expected: list[float] | None) -> None:
    found = ticks(0, top, unit)
    assert expected is None or found == pytest.approx(expected)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, 0.0, -1e30, 1e30], ids=str)
def test_whatever_comes_is_drawn(value: float | None, tmp_path: Path) -> None:
    """Nothing at all, no numbers, and numbers beyond reason, in every kind of panel."""
    document = json.loads((FOLDER / "atoll-operator.json").read_text())
    span = Span(1000.0, 1100.0, 10.0)
    times = tuple(range(1000, 1101, 10))
    one = (
        [] if value is None else [Answer("$a_{b}$", Series({"le": "0.1"}, times, (value,) * 11), 0)]
    )
    kinds: dict[str, Any] = {it["type"]: it for it in document["panels"]}
    kinds["bargauge"] = {**kinds["stat"], "type": "bargauge"}
    told = [Shown(it, tuple(one if "targets" in it else [])) for it in kinds.values()]
    draw(told, span, tmp_path / "new" / "picture.png")
    assert (tmp_path / "new" / "picture.png").stat().st_size > 10_000


@pytest.fixture
def stranger() -> Iterator[str]:
    """A server that is no Prometheus."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[1, 2]")

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_server_that_is_no_prometheus_is_said(
    stranger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--prometheus", stranger, "--job", "digits"]) == 1
    assert f"pictures: {stranger} does not answer as Prometheus" in capsys.readouterr().err


class Quiet(Prometheus):
    """A Prometheus that knows nothing after a moment; no server."""

    def at(self, expr: str, moment: float) -> list[Series]:
        return [Series({"job": expr}, (moment,), (1.0,))] if moment < 1065 else []

    def over(self, expr: str, span: Span) -> list[Series]:
        return [] if span.start < span.end else self.at(expr, span.end)


def test_what_has_ended_is_shown_as_it_was_and_says_when() -> None:
    table, curve = (
        {"type": "x", "title": "T", "targets": [{"expr": "up", "instant": it}]}
        for it in (True, False)
    )
    span = Span(1000.0, 1100.0, 10.0)
    was, none = shown({"panels": [table, curve]}, Quiet(""), span, {})
    assert was.moment == 1060.0
    assert was.title == "T (at 00:17:40)"
    assert (none.answers, none.title) == ((), "T")
