"""Dashboards are what Grafana's own types say, explain themselves, and fit on their grid."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promtool
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as made
from grafana_foundation_sdk.models import units

from tools.generate_monitoring import files, stale
from tools.monitoring import boards
from tools.monitoring.board import COLUMNS, TAG, Board, Section, text_of
from tools.monitoring.promql import filled
from tools.monitoring.uses import EXAMPLE, asked
from tools.monitoring.views import Curves, Query

Json = dict[str, Any]

FOLDER = Path(__file__).resolve().parents[3] / "charts/atoll/files/dashboards"
DOCUMENTS: dict[str, Json] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}
KNOWN_UNITS = {it for it in vars(units).values() if isinstance(it, str)}
each = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)


def panels(document: Json) -> Iterator[Json]:
    """All of a dashboard, rows and what is in closed ones too."""
    for panel in document["panels"]:
        yield panel
        yield from panel.get("panels") or ()


def views(document: Json) -> Iterator[Json]:
    """All that show something."""
    return (it for it in panels(document) if it["type"] != "row")


def overlapping(document: Json) -> list[tuple[str, str]]:
    """Pairs of panels that lie on each other."""
    taken: dict[tuple[int, int], str] = {}
    found = []
    for panel in panels(document):
        place, name = panel["gridPos"], f"{panel['id']} {panel['title']}"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in taken:
                    found.append((taken[x, y], name))
                taken[x, y] = name
    return found


def test_what_is_committed_is_what_the_code_says() -> None:
    assert stale(files()) == []
    assert DOCUMENTS.keys() == {board.uid for board in boards.ALL}


@each
def test_a_dashboard_is_of_grafanas_types(document: Json) -> None:
    register_default_plugins()
    read = made.Dashboard.from_json(document)
    again = json.loads(json.dumps(read, cls=JSONEncoder))
    assert again == document


@each
def test_ids_are_unique(document: Json) -> None:
    ids = [panel["id"] for panel in panels(document)]
    assert sorted(ids) == list(range(1, len(ids) + 1))
    assert re.fullmatch(r"[a-z-]{8,40}", document["uid"])


def test_uids_and_titles_are_unique() -> None:
    assert len({it["title"] for it in DOCUMENTS.values()}) == len(boards.ALL)
    assert len({it["uid"] for it in DOCUMENTS.values()}) == len(boards.ALL)


@each
def test_no_panel_lies_on_another_or_off_the_grid(document: Json) -> None:
    assert overlapping(document) == []
    assert all(it["gridPos"]["x"] + it["gridPos"]["w"] <= COLUMNS for it in panels(document))


def test_a_panel_on_another_is_noticed() -> None:
    corners = enumerate([(0, 0), (3, 1)], 1)
    both = [
        {"id": n, "title": "t", "gridPos": {"x": x, "y": y, "w": 4, "h": 2}}
        for n, (x, y) in corners
    ]
    assert overlapping({"panels": both}) == [("1 t", "2 t")]


@each
def test_every_panel_explains_itself(document: Json) -> None:
    for panel in views(document):
        assert panel["description"].endswith("."), panel["title"]
        if panel["type"] == "text":
            assert len(panel["options"]["content"]) > 100
            continue
        assert panel["title"]
        defaults = panel["fieldConfig"]["defaults"]
        unit = defaults["unit"]
        assert unit in KNOWN_UNITS or unit.startswith("suffix:"), f"{panel['title']}: {unit}"
        assert defaults["thresholds"]["steps"][0] == {"value": None, "color": "green"}
        limits = [it["value"] for it in defaults["thresholds"]["steps"][1:]]
        assert limits == sorted(limits), panel["title"]


@each
def test_titles_in_a_section_are_unique(document: Json) -> None:
    titles = [it["title"] for it in panels(document) if it["type"] not in ("row", "text")]
    sections = [it["title"] for it in panels(document) if it["type"] == "row"]
    assert len(sections) == len(set(sections))
    assert len(titles) - len(set(titles)) <= 2, "the same number large and as a curve"


@each
def test_every_query_has_the_chosen_source_and_several_series_a_legend(document: Json) -> None:
    for panel in views(document):
        if panel["type"] == "text":
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        refs = [it["refId"] for it in panel["targets"]]
        assert len(refs) == len(set(refs))
        if panel["type"] == "timeseries":
            assert all(it["legendFormat"] != "__auto" for it in panel["targets"]), panel["title"]


@each
def test_there_are_variables_and_ways_to_the_others(document: Json) -> None:
    names = [it["name"] for it in document["templating"]["list"]]
    assert names[:2] == ["datasource", "namespace"]
    (way,) = document["links"]
    assert way["tags"] == document["tags"] == [TAG]
    assert way["includeVars"]
    assert way["keepTime"]


def test_a_link_in_a_table_leads_to_a_dashboard() -> None:
    text = json.dumps(DOCUMENTS["atoll-fleet"])
    targets = re.findall(r"/d/([a-z-]+)\?([^\"]*)", text)
    assert targets
    for uid, rest in targets:
        variables = {it["name"] for it in DOCUMENTS[uid]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", rest)) <= variables


def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"q:{index}", "expr": it.expr} for index, it in enumerate(asked())]
    path = tmp_path / "queries.yaml"
    path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool.check_rules(path)


def test_a_query_that_prometheus_cannot_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "queries.yaml"
    rules = [{"record": "q", "expr": "sum by (rate(x[5m]))"}]
    path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    assert promtool.tried("check", "rules", str(path)).returncode != 0


def test_views_flow_from_left_to_right_and_down() -> None:
    wide, narrow = (
        Curves(title="c", about="c.", unit="s", queries=(Query("up"),), width=width, height=height)
        for width, height in ((16, 4), (8, 6))
    )
    board = Board(
        "atoll-test", "T", "T.", (), (Section("a", (wide, narrow, wide)), Section("b", (narrow,)))
    )
    places = [it["gridPos"] for it in panels(board.document())]
    assert [(it["x"], it["y"], it["w"], it["h"]) for it in places] == [
        (0, 0, 24, 1),
        (0, 1, 16, 4),
        (16, 1, 8, 6),
        (0, 7, 16, 4),
        (0, 11, 24, 1),
        (0, 12, 8, 6),
    ]
    assert text_of(board) == text_of(board)


def test_a_closed_section_holds_its_panels() -> None:
    view = Curves(title="c", about="c.", unit="s", queries=(Query("up"),))
    sections = (Section("a", (view,), closed=True), Section("b", (view,)))
    closed, opened, _ = Board("atoll-test", "T", "T.", (), sections).document()["panels"]
    assert closed["collapsed"]
    assert closed["panels"][0]["gridPos"]["y"] == 1
    assert opened["gridPos"]["y"] == 1


def test_every_variable_of_a_query_is_known() -> None:
    for board in boards.ALL:
        for view in board.views:
            for expr in view.expressions:
                assert "$" not in filled(expr, EXAMPLE)
