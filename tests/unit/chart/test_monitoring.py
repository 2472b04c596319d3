"""Alerts and dashboards of a release: nothing unless asked for, and then what the files say."""

import json
from pathlib import Path
from typing import Any

import helm
import promtool
import pytest
import yaml

RULES = yaml.safe_load((helm.CHART / "files/alerts.yaml").read_text())
NAMES = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]


def rule(**values: Any) -> dict[str, Any]:
    """The PrometheusRule of a release with these values."""
    found = helm.rendered({"metrics": {"prometheusRule": {"enabled": True, **values}}})
    return found.one("PrometheusRule")


def alerts(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [it for group in found["spec"]["groups"] for it in group["rules"]]


def dashboards(**values: Any) -> list[dict[str, Any]]:
    """The ConfigMaps with dashboards of a release with these values."""
    return helm.rendered({"metrics": {"dashboards": {"enabled": True, **values}}}).all("ConfigMap")


def test_nothing_is_made_unless_asked_for() -> None:
    found = helm.rendered()
    assert not found.all("PrometheusRule")
    assert not found.all("ConfigMap")


def test_the_rules_are_those_of_the_file() -> None:
    found = rule()
    assert found["spec"] == RULES
    assert found["metadata"]["name"] == "atoll"
    assert found["metadata"]["namespace"] == "system"


def test_prometheus_reads_the_rules_of_a_release(tmp_path: Path) -> None:
    groups = [{"name": "mine", "rules": [{"record": "a:b", "expr": "up"}]}]
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps(rule(extraGroups=groups, runbooks="https://x.example/")["spec"]))
    assert f"{len(NAMES) + 1} rules found" in promtool.check_rules(path)


def test_a_prometheus_finds_them_by_labels_which_do_not_hide_our_own() -> None:
    labels = {"release": "prometheus", "app.kubernetes.io/name": "mine"}
    found = rule(labels=labels, namespace="monitoring")["metadata"]
    assert found["namespace"] == "monitoring"
    assert found["labels"]["release"] == "prometheus"
    assert found["labels"]["app.kubernetes.io/name"] == "atoll"


def test_an_alert_may_be_left_out_and_a_group_with_it() -> None:
    hubs = [it["alert"] for it in RULES["groups"][-1]["rules"]]
    found = rule(disabled=["AtollJobFailed", *hubs])
    left = {it["alert"] for it in alerts(found)}
    assert left == {*NAMES} - {"AtollJobFailed", *hubs}
    assert len(found["spec"]["groups"]) == len(RULES["groups"]) - 1


def test_one_that_does_not_exist_is_refused() -> None:
    values = {"metrics": {"prometheusRule": {"enabled": True, "disabled": ["AtollNoLaeder"]}}}
    assert "there is no alert AtollNoLaeder; there are: AtollNoLeader" in helm.refusal(values)


def test_runbooks_are_where_they_are_said_to_be() -> None:
    base = "https://git.example.com/atoll/blob/main/"
    for it in alerts(rule(runbooks=base)):
        assert it["annotations"]["runbook_url"] == f"{base}docs/runbooks/{it['alert']}.md"


def test_the_dashboards_are_those_of_the_files() -> None:
    found = {key: it for one in dashboards() for key, it in one["data"].items()}
    files = {it.name: it for it in (helm.CHART / "files/dashboards").glob("*.json")}
    assert found.keys() == files.keys()
    for name, text in found.items():
        assert json.loads(text) == json.loads(files[name].read_text())


def test_a_sidecar_finds_them() -> None:
    for it in dashboards():
        assert it["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert it["metadata"]["annotations"] == {"grafana_folder": "Atoll"}
        assert it["metadata"]["namespace"] == "system"


def test_another_sidecar_finds_them_too() -> None:
    own = {"label": "dash.example/load", "labelValue": "yes", "folderAnnotation": "k8s-folder"}
    for it in dashboards(**own, folder="Training", namespace="monitoring"):
        assert it["metadata"]["labels"]["dash.example/load"] == "yes"
        assert it["metadata"]["annotations"] == {"k8s-folder": "Training"}
        assert it["metadata"]["namespace"] == "monitoring"
    for it in dashboards(folderAnnotation=""):
        assert "annotations" not in it["metadata"]


def test_a_release_stays_far_below_what_an_object_may_be() -> None:
    for it in dashboards():
        assert len(json.dumps(it)) < 500_000, "1 MiB is the limit"


@pytest.mark.parametrize(
    "values",
    [
        {"prometheusRule": {"enable": True}},
        {"prometheusRule": {"disabled": ["NoLeader"]}},
        {"prometheusRule": {"runbooks": "git.example.com"}},
        {"dashboards": {"labelValue": "not a label"}},
        {"dashboards": {"labelValue": 1}},
        {"dashboards": {"label": ""}},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any]) -> None:
    assert "values don't meet the specifications" in helm.refusal({"metrics": values})
