"""What the chart writes into the environment is what the operator's settings read there."""

from dataclasses import fields
from typing import Any

import helm
import pytest

from atoll_telemetry.logs import LogSettings

settings = pytest.importorskip(
    "atoll_operator.kubernetes.settings",
    reason="the settings of the operator are not there yet",
    exc_type=ImportError,
)

POD = {"ATOLL_OPERATOR_NAMESPACE": "system", "ATOLL_OPERATOR_POD": "atoll-operator-0"}


def read(values: dict[str, Any]) -> Any:
    """The settings as an operator of a release of these values has them."""
    return settings.read(POD | helm.rendered(values).environment)


def test_the_defaults_are_the_settings_own() -> None:
    found = read({})
    assert found == settings.OperatorSettings(
        worker_image="registry.example.com/team/worker:0.1.0",
        namespace="system",
        pod="atoll-operator-0",
        labels=found.labels,
    )


@pytest.mark.parametrize(
    ("values", "field", "expected"),
    [
        ({"watchNamespaces": ["a", "b"]}, "namespaces", ("a", "b")),
        ({"concurrency": 3}, "workers", 3),
        ({"hubPollSeconds": 9}, "poll_seconds", 9.0),
        ({"healthPort": 8080}, "health_port", 8080),
        ({"metricsFrom": [{"podSelector": {}}]}, "metrics_from", ({"podSelector": {}},)),
        ({"metrics": {"objects": False}}, "object_metrics", False),
        ({"metrics": {"annotations": True}}, "scrape_annotations", True),
        ({"worker": {"fsGroup": 1000650000}}, "fs_group", 1000650000),
        ({"worker": {"fsGroup": "none"}}, "fs_group", None),
        (
            {"worker": {"imagePullSecrets": [{"name": "a"}, {"name": "b"}]}},
            "image_pull_secrets",
            ("a", "b"),
        ),
        ({"worker": {"image": {"pullPolicy": "Always"}}}, "image_pull_policy", "Always"),
        (
            {"worker": {"image": {"tag": "1.10"}}},
            "worker_image",
            "registry.example.com/team/worker:1.10",
        ),
        ({"logging": {"format": "text"}}, "log", LogSettings("text")),
        ({"logging": {"level": "debug"}}, "log", LogSettings("json", "debug")),
        (
            {"tracing": {"endpoint": "http://collector.lab:4317"}},
            "tracing",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.lab:4317"},
        ),
        ({"tracing": {"to": [{"podSelector": {}}]}}, "tracing_to", ({"podSelector": {}},)),
        ({"fullnameOverride": "x"}, "lease", "x-operator"),
        ({"fullnameOverride": "x"}, "authority", "x-operator-authority"),
    ],
    ids=str,
)
def test_a_value_arrives(values: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(read(values), field) == expected


def test_the_environment_is_what_the_settings_read_and_nothing_else() -> None:
    given = {it["name"] for it in helm.rendered().container["env"]}
    assert len(given) == len(fields(settings.OperatorSettings))
    assert all(it.startswith(settings.PREFIX) for it in given)


@pytest.mark.parametrize("name", ["ATOLL_METRICS_OBJECTS", "ATOLL_SCRAPE_ANNOTATIONS"])
def test_a_flag_is_true_or_false(name: str) -> None:
    given = POD | helm.rendered({}).environment
    with pytest.raises(settings.SettingsError, match=f"{name} is 'yes': say true or false"):
        settings.read({**given, name: "yes"})


def test_where_traces_go_is_told_to_the_operator_as_to_everybody() -> None:
    values = {"tracing": {"endpoint": "http://collector.lab:4317"}}
    given = helm.rendered(values).environment
    assert given["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.lab:4317"
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in helm.rendered().environment
