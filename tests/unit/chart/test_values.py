"""The values of the chart: each has a default, a description, a bound and an effect."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import helm
import jsonschema
import pytest
import yaml

FOR_PARENTS = {"global", "enabled"}
"""Helm hands them to charts within charts."""

VALUES: dict[str, Any] = yaml.safe_load((helm.CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((helm.CHART / "values.schema.json").read_text())


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return SCHEMA["definitions"][name] if name else schema


def known(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Every key that the schema spells out."""
    for name, child in resolved(schema).get("properties", {}).items():
        yield f"{path}{name}"
        yield from known(child, f"{path}{name}.")


def said(values: Any, path: str = "") -> Iterator[str]:
    if isinstance(values, dict):
        for name, child in values.items():
            yield f"{path}{name}"
            yield from said(child, f"{path}{name}.")


def test_the_schema_knows_the_defaults_and_nothing_else() -> None:
    free = ("resources.", "podSecurityContext.", "securityContext.", "nodeSelector.", "extraEnv.")
    in_values = {it for it in said(VALUES) if not it.startswith(free)}
    in_schema = {it for it in known(SCHEMA) if not it.startswith(free)} - FOR_PARENTS
    assert in_values == in_schema
    jsonschema.validate(VALUES, SCHEMA)


def test_every_object_of_the_schema_is_closed_or_is_kubernetes_own() -> None:
    kubernetes = {
        "global", "resources.requests", "resources.limits", "podSecurityContext",
        "securityContext", "affinity",
    }  # fmt: skip
    open_ones = {
        path
        for path in known(SCHEMA)
        if (it := at(path)).get("type") == "object" and "additionalProperties" not in it
    }
    assert open_ones == kubernetes, "a typing error would go unnoticed"


def at(path: str) -> Mapping[str, Any]:
    here: Mapping[str, Any] = SCHEMA
    for name in path.split("."):
        here = resolved(resolved(here)["properties"][name])
    return here


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replica": 2}, "replica"),
        ({"image": {"tags": "x"}}, "tags"),
        ({"crds": {"enabled": True}}, "enabled"),
        ({"worker": {"image": {"repo": "x"}}}, "repo"),
        ({"networkPolicy": {"apiServer": {"port": 1}}}, "port"),
        ({"replicas": -1}, "replicas"),
        ({"replicas": "2"}, "replicas"),
        ({"concurrency": 0}, "concurrency"),
        ({"watchNamespaces": "a"}, "watchNamespaces"),
        ({"watchNamespaces": ["a", "a"]}, "watchNamespaces"),
        ({"watchNamespaces": ["A_b"]}, "watchNamespaces"),
        ({"image": {"digest": "0123"}}, "digest"),
        ({"worker": {"fsGroup": "no"}}, "fsGroup"),
        ({"metricsFrom": [{}]}, "metricsFrom"),
        ({"metricsFrom": [{"namespace": "x"}]}, "metricsFrom"),
        ({"imagePullSecrets": ["a"]}, "imagePullSecrets"),
        ({"livenessProbe": {"path": "/"}}, "path"),
        ({"extraEnv": [{"name": "ATOLL_WORKERS", "value": "1"}]}, "extraEnv"),
        ({"podLabels": {"a": True}}, "podLabels"),
        ({"logging": {"format": "xml"}}, "format"),
        ({"logging": {"level": "INFO"}}, "level"),
        ({"tracing": {"endpoint": "collector:4317"}}, "endpoint"),
        ({"tracing": {"endpoint": "http://a:4317/v1/traces"}}, "endpoint"),
        ({"tracing": {"to": [{}]}}, "to"),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_meant_is_refused(values: dict[str, Any], words: str) -> None:
    message = helm.refusal(values)
    assert "values don't meet the specifications of the schema" in message
    assert words in message


def test_a_chart_within_a_chart_is_not_refused() -> None:
    assert helm.rendered({"global": {"anything": {"else": 1}}, "enabled": True}).documents


def test_without_a_registry_it_says_what_to_do() -> None:
    message = helm.refusal({"imageRegistry": ""})
    assert "build and push the images, then set imageRegistry (docs/install.md)" in message


def test_lint_has_nothing_to_say() -> None:
    said = helm.run("lint", "--strict", str(helm.CHART), values=helm.IMAGES)
    assert "WARNING" not in said
    assert "0 chart(s) failed" in said
    helm.run("lint", "--strict", str(helm.CHART))


def test_the_chart_has_the_version_of_the_product() -> None:
    project = tomllib.loads((helm.CHART.parents[1] / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == project["version"]


@pytest.mark.parametrize(
    "page", ["docs/install.md", "docs/test-cluster.md", "charts/atoll/README.md"]
)
def test_a_page_sets_no_value_that_is_not_there(page: str) -> None:
    text = (helm.CHART.parents[1] / page).read_text()
    named = set(re.findall(r"--set '?([A-Za-z.]+)=", text))
    assert named
    assert named <= set(said(VALUES))


def test_the_values_that_matter_are_there() -> None:
    text = (helm.CHART.parents[1] / "docs/install.md").read_text()
    _, _, section = text.partition("## Values that matter")
    first_column = re.findall(r"^\| (`.*?`) \| ", section.partition("\n## ")[0], re.MULTILINE)
    named = {it.strip("`") for cell in first_column for it in cell.split(", ")}
    assert "watchNamespaces" in named
    assert named <= set(said(VALUES))
