"""Each alert fires when it should, says what it should, and is silent when all is well."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import promtool
import pytest
import yaml
from alert_stories import Story
from alert_stories_of_jobs import STORIES as OF_JOBS
from alert_stories_of_operators import STORIES as OF_OPERATORS
from alert_stories_of_training import STORIES as OF_TRAINING

from tools.monitoring import alerts, boards
from tools.monitoring.alerts.alert import Alert, document

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "charts/atoll/files/alerts.yaml"
STORIES = (*OF_OPERATORS, *OF_JOBS, *OF_TRAINING)
ALERTS = {alert.name: alert for alert in alerts.ALL}


def alone(name: str) -> dict[str, Any]:
    """The committed rules without all others: promtool asks each rule each minute."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    (rule,) = (it for group in groups for it in group["rules"] if it["alert"] == name)
    return {"groups": [{"name": "one", "rules": [rule]}]}


def outcome(alert: Alert, stories: Iterable[Story], folder: Path) -> str:
    """What promtool says of the stories of an alert; nothing if all is as expected."""
    annotations = alert.rule()["annotations"]
    tests = [story.test(alert.severity, annotations) for story in stories]
    file = folder / "stories.yaml"
    (folder / "rules.yaml").write_text(json.dumps(alone(alert.name)))
    whole = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    file.write_text(json.dumps(whole))
    done = promtool.tried("test", "rules", str(file))
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda it: it.name)
def test_an_alert_fires_when_it_should_and_else_not(alert: Alert, tmp_path: Path) -> None:
    told = [it for it in STORIES if it.alert == alert.name]
    wrong = outcome(alert, told, tmp_path)
    assert not wrong, wrong


def test_a_wrong_expectation_is_noticed(tmp_path: Path) -> None:
    fires = next(it for it in STORIES if it.fires)
    silent = replace(fires, fires=())
    assert "got:[" in outcome(ALERTS[fires.alert], [silent], tmp_path)


def test_each_alert_has_a_story_in_which_it_fires_and_one_in_which_not() -> None:
    assert {it.alert for it in STORIES if it.fires} == ALERTS.keys()
    assert {it.alert for it in STORIES if not it.fires} == ALERTS.keys()


def test_the_rules_are_well_formed() -> None:
    assert f"{len(ALERTS)} rules found" in promtool.check_rules(RULES)


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda it: it.name)
def test_an_alert_says_what_somebody_needs(alert: Alert) -> None:
    assert re.fullmatch(r"Atoll([A-Z][a-z]+)+", alert.name)
    assert re.fullmatch(r"\d+[mh]", alert.hold)
    assert alert.summary.endswith(".")
    assert "$labels.namespace" in alert.description
    assert len(alert.summary) < 80


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda it: it.name)
def test_a_runbook_says_what_it_means_what_to_look_at_and_what_to_do(alert: Alert) -> None:
    text = (ROOT / alert.rule()["annotations"]["runbook_url"]).read_text()
    assert text.startswith(f"# {alert.name}\n\n{alert.summary}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "What it means",
        "What to look at",
        "What to do",
    ]


def test_there_is_no_runbook_without_an_alert() -> None:
    pages = {path.stem for path in (ROOT / "docs/runbooks").glob("*.md")} - {"README"}
    assert pages == ALERTS.keys()


def test_a_command_in_a_runbook_is_one() -> None:
    commands = set(re.findall(r"^### (.+)$", (ROOT / "docs/cli.md").read_text(), re.MULTILINE))
    known = {word for line in commands for word in line.split(", ")}
    for path in (ROOT / "docs/runbooks").glob("Atoll*.md"):
        blocks = re.findall(r"^ {4}(?:atoll) (\w+)", path.read_text(), re.MULTILINE)
        inline = re.findall(r"`atoll (\w+)", path.read_text())
        assert {*blocks, *inline} <= known, path.name


def test_names_of_groups_are_their_own() -> None:
    names = [it["name"] for it in document(alerts.GROUPS)["groups"]]
    assert len(names) == len(set(names))
    assert len(ALERTS) == len(alerts.ALL)


def test_a_panel_that_a_runbook_names_is_there() -> None:
    boards_ = {board.title.removeprefix("Atoll / ") for board in boards.ALL}
    titles = {view.title for board in boards.ALL for view in board.views}
    sections = {section.title for board in boards.ALL for section in board.sections}
    for path in (ROOT / "docs/runbooks").glob("Atoll*.md"):
        named = set(re.findall(r"(?<!\*)\*([A-Z][^*]+)\*", path.read_text()))
        assert named <= boards_ | titles | sections | {"Targets"}, path.name


@pytest.mark.parametrize("page", ["docs/metrics.md", "docs/dashboards.md", "docs/runbooks"])
def test_a_link_leads_somewhere(page: str) -> None:
    start = ROOT / page
    for path in sorted(start.glob("*.md")) if start.is_dir() else [start]:
        for file, _, mark in re.findall(r"\]\(([^)#]*)(#([^)]+))?\)", path.read_text()):
            target = path.parent / file if file else path
            assert target.exists(), f"{path.name}: {file}"
            assert not mark or mark in marks(target), f"{path.name}: #{mark}"


def marks(page: Path) -> set[str]:
    """The anchors of a page: its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", it.lower()).replace(" ", "-") for it in headings}
