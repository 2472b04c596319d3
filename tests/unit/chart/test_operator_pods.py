"""The operator's pods: restricted, spread, and told who they are."""

import json
from typing import Any

import helm
import pytest

from atoll_api import names


def test_it_is_told_its_name_and_its_namespace() -> None:
    given = {
        it["name"]: it["valueFrom"]["fieldRef"]["fieldPath"]
        for it in helm.rendered().container["env"]
        if "valueFrom" in it
    }
    assert given == {
        "ATOLL_OPERATOR_NAMESPACE": "metadata.namespace",
        "ATOLL_OPERATOR_POD": "metadata.name",
    }


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"podLabels": {"app.kubernetes.io/name": "mine", "team": "a"}},
        {"commonLabels": {"app.kubernetes.io/component": "mine", "team": "a"}},
    ],
)
def test_the_labels_it_is_told_are_those_that_its_pods_are_found_by(values: dict[str, Any]) -> None:
    found = helm.rendered(values)
    told = json.loads(found.environment["ATOLL_OPERATOR_LABELS"])
    assert told == found.one("Deployment")["spec"]["selector"]["matchLabels"]
    assert told == found.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    assert told == found.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert told.items() <= found.pod["metadata"]["labels"].items()
    assert ("team" in found.pod["metadata"]["labels"]) == bool(values)


def test_two_releases_in_a_namespace_do_not_find_each_others_pods() -> None:
    one, other = (helm.rendered(release=it).one("Deployment") for it in ("a", "b"))
    assert one["spec"]["selector"] != other["spec"]["selector"]
    assert one["metadata"]["name"] != other["metadata"]["name"]


def test_it_is_restricted() -> None:
    pod, container = helm.rendered().pod["spec"], helm.rendered().container
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [it["mountPath"] for it in container["volumeMounts"]] == ["/tmp"]
    assert "command" not in container
    assert "cpu" not in container["resources"]["limits"], "it would lose its lease"


def test_a_platform_may_choose_the_user() -> None:
    """As OpenShift does: helm takes null for `leave it out`."""
    chosen: dict[str, Any] = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    pod = helm.rendered({"podSecurityContext": chosen}).pod["spec"]
    assert pod["securityContext"].keys() == {"runAsNonRoot", "seccompProfile"}


def test_probes_ask_the_health_port() -> None:
    container = helm.rendered({"healthPort": 8080}).container
    (port,) = container["ports"]
    assert (port["name"], port["containerPort"]) == ("health", 8080)
    for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "health"}
    assert helm.rendered().container["ports"][0]["containerPort"] == names.METRICS_PORT


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, "registry.example.com/team/operator:0.1.0"),
        ({"tag": "test"}, "registry.example.com/team/operator:test"),
        (
            {"tag": "test", "digest": f"sha256:{'a' * 64}"},
            f"registry.example.com/team/operator@sha256:{'a' * 64}",
        ),
    ],
)
def test_an_image_is_named_by_tag_or_digest(image: dict[str, str], expected: str) -> None:
    assert helm.rendered({"image": image}).container["image"] == expected


def test_whole_names_need_no_registry() -> None:
    values = {
        "imageRegistry": "",
        "image": {"repository": "a.example/x"},
        "worker": {"image": {"repository": "b.example:5000/y"}},
    }
    found = helm.rendered(values)
    assert found.container["image"] == "a.example/x:0.1.0"
    assert found.environment["ATOLL_WORKER_IMAGE"] == "b.example:5000/y:0.1.0"


def test_operators_are_spread_where_that_is_possible() -> None:
    constraints = helm.rendered().pod["spec"]["topologySpreadConstraints"]
    selector = helm.rendered().one("Deployment")["spec"]["selector"]
    assert {it["topologyKey"] for it in constraints} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    for it in constraints:
        assert it["whenUnsatisfiable"] == "ScheduleAnyway"
        assert it["labelSelector"] == selector


def test_a_constraint_of_ones_own_gets_the_selector_unless_it_has_one() -> None:
    bare = {"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    own = {**bare, "labelSelector": {"matchLabels": {"a": "b"}}}
    found = helm.rendered({"topologySpreadConstraints": [bare, own]})
    selector = found.one("Deployment")["spec"]["selector"]
    assert found.pod["spec"]["topologySpreadConstraints"] == [
        {**bare, "labelSelector": selector},
        own,
    ]


def test_what_is_said_of_pods_is_passed_on() -> None:
    said: dict[str, Any] = {
        "imagePullSecrets": [{"name": "a"}],
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux", "pool": "system"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "terminationGracePeriodSeconds": 7,
    }
    found = helm.rendered(
        {
            **said,
            "replicas": 3,
            "podAnnotations": {"c": "d"},
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://p"}],
        }
    )
    assert said.items() <= found.pod["spec"].items()
    assert found.pod["metadata"]["annotations"] == {"c": "d"}
    assert found.environment["HTTPS_PROXY"] == "http://p"
    assert found.one("Deployment")["spec"]["replicas"] == 3


def test_a_long_name_stays_a_name() -> None:
    for document in helm.rendered(release="a" * 53).documents:
        assert len(document["metadata"]["name"]) <= 63
