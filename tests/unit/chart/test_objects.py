"""What else a release has: rights, the definition, walls, and what `helm test` brings along."""

from typing import Any

import helm
import pytest
from operator_rights import FOR_JOBS, Right, for_itself, rights

from atoll_api import names
from atoll_api.crd import custom_resource_definition


def exactly(role: dict[str, Any], expected: set[Right]) -> None:
    found = rights(role)
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_in_all_namespaces_one_role_is_of_the_cluster() -> None:
    found = helm.rendered({"rbac": {"userRoles": False}})
    exactly(found.one("ClusterRole"), FOR_JOBS)
    exactly(found.one("Role"), for_itself("atoll-operator"))
    assert found.one("ClusterRoleBinding")["roleRef"]["name"] == "atoll-operator"
    assert found.one("ClusterRoleBinding")["subjects"] == [
        {"kind": "ServiceAccount", "name": "atoll-operator", "namespace": "system"}
    ]


def test_in_some_namespaces_none_is() -> None:
    found = helm.rendered({"watchNamespaces": ["a", "system"]})
    assert not found.all("ClusterRole")
    assert not found.all("ClusterRoleBinding")
    roles = {(it["metadata"]["namespace"], it["metadata"]["name"]): it for it in found.all("Role")}
    exactly(roles.pop(("a", "atoll-operator")), FOR_JOBS)
    exactly(roles.pop(("system", "atoll-operator")), FOR_JOBS)
    exactly(roles.pop(("system", "atoll-operator-own")), for_itself("atoll-operator"))
    assert not roles
    for binding in found.all("RoleBinding"):
        assert binding["roleRef"]["name"] == binding["metadata"]["name"]
        assert binding["subjects"][0]["namespace"] == "system"


def test_users_get_what_their_rank_is() -> None:
    editor, viewer = (
        next(
            it for it in helm.rendered().all("ClusterRole") if it["metadata"]["name"].endswith(end)
        )
        for end in ("editor", "viewer")
    )
    to = "rbac.authorization.k8s.io/aggregate-to-"
    assert {it for it in editor["metadata"]["labels"] if it.startswith(to)} == {
        f"{to}admin",
        f"{to}edit",
    }
    assert {it for it in viewer["metadata"]["labels"] if it.startswith(to)} == {f"{to}view"}
    assert {verb for *_, verb in rights(viewer)} == {"get", "list", "watch"}
    assert not {it for it in rights(editor) if it[1] == "trainingjobs/status" and it[3] != "get"}


def test_nothing_is_granted_that_is_not_asked_for() -> None:
    found = helm.rendered({"rbac": {"create": False}, "serviceAccount": {"create": False}})
    assert not [it for it in found.documents if "rbac" in it["apiVersion"] and not helm.is_hook(it)]
    assert not found.all("ServiceAccount")
    assert found.pod["spec"]["serviceAccountName"] == "default"
    named = helm.rendered({"serviceAccount": {"create": False, "name": "mine"}})
    assert named.pod["spec"]["serviceAccountName"] == "mine"
    assert named.one("ClusterRoleBinding")["subjects"][0]["name"] == "mine"


def test_only_who_asks_for_the_token_has_it() -> None:
    found = helm.rendered()
    assert found.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert found.pod["spec"]["automountServiceAccountToken"] is True


@pytest.mark.parametrize("keep", [True, False])
def test_the_definition_is_that_of_the_types(*, keep: bool) -> None:
    found = helm.rendered({"crds": {"keep": keep}}).one("CustomResourceDefinition")
    annotations = found["metadata"].pop("annotations", {})
    assert found["metadata"].pop("labels")["app.kubernetes.io/instance"] == "atoll"
    assert found == custom_resource_definition()
    assert annotations == ({"helm.sh/resource-policy": "keep"} if keep else {})


def test_the_definition_may_be_somebody_elses() -> None:
    assert not helm.rendered({"crds": {"install": False}}).all("CustomResourceDefinition")
    assert not list(helm.CHART.glob("crds/*")), "helm upgrade does not touch what is in crds/"


def test_the_wall_has_the_doors_that_the_operator_uses() -> None:
    scraper = {"namespaceSelector": {"matchLabels": {"a": "b"}}}
    policy = helm.rendered({"metricsFrom": [scraper]}).one("NetworkPolicy")["spec"]
    (metrics,) = policy["ingress"]
    assert metrics["ports"] == [{"protocol": "TCP", "port": names.METRICS_PORT}]
    assert metrics["from"][1:] == [scraper]
    dns, api, hubs = policy["egress"]
    assert {it["port"] for it in dns["ports"]} == {53}
    assert {it["port"] for it in api["ports"]} == {443, 6443, 16443}
    assert "to" not in api
    assert hubs == {
        "ports": [{"protocol": "TCP", "port": names.HUB_PORT}],
        "to": [
            {"podSelector": {"matchLabels": {names.LABEL_ROLE: "hub"}}, "namespaceSelector": {}}
        ],
    }


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("http://collector.lab:4000", 4000),
        ("https://collector", 4317),
        ("https://[::1]:99", 99),
    ],
)
def test_the_wall_has_a_door_to_the_collector_of_traces(endpoint: str, port: int) -> None:
    peer = {"podSelector": {"matchLabels": {"app": "collector"}}}
    policy = helm.rendered({"tracing": {"endpoint": endpoint, "to": [peer]}}).one("NetworkPolicy")
    assert policy["spec"]["egress"][-1] == {
        "ports": [{"protocol": "TCP", "port": port}],
        "to": [peer],
    }
    for shut in ({"endpoint": endpoint}, {"to": [peer]}):
        assert len(helm.rendered({"tracing": shut}).one("NetworkPolicy")["spec"]["egress"]) == 3


def test_the_wall_may_be_narrower_and_have_more_doors() -> None:
    more = [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}]
    own = {"apiServer": {"cidrs": ["10.0.0.1/32"], "ports": [6443]}, "extraEgress": more}
    values = {"watchNamespaces": ["a", "b"], "networkPolicy": own}
    _, api, hubs, last = helm.rendered(values).one("NetworkPolicy")["spec"]["egress"]
    assert api == {
        "ports": [{"protocol": "TCP", "port": 6443}],
        "to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
    }
    (expression,) = hubs["to"][0]["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == ["a", "b"]
    assert [last] == more


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"networkPolicy": {"enabled": False}}, "NetworkPolicy"),
        ({"podDisruptionBudget": {"enabled": False}}, "PodDisruptionBudget"),
    ],
)
def test_what_is_switched_off_is_not_there(values: dict[str, Any], kind: str) -> None:
    assert helm.rendered().all(kind)
    assert not helm.rendered(values).all(kind)


def test_no_drain_is_blocked() -> None:
    assert helm.rendered().one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_every_object_says_whose_it_is() -> None:
    for it in helm.rendered({"commonLabels": {"team": "a"}}).documents:
        labels = it["metadata"]["labels"]
        assert labels["team"] == "a"
        assert labels["app.kubernetes.io/instance"] == "atoll"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        cluster = it["kind"].startswith(("Cluster", "CustomResource"))
        assert ("namespace" in it["metadata"]) is not cluster


def test_helm_test_brings_a_pod_alone() -> None:
    """Helm asks for the log of each thing that a test brings, by its name."""
    (hook,) = (it for it in helm.rendered().documents if helm.is_hook(it))
    assert hook["kind"] == "Pod"
    assert hook["metadata"]["annotations"] == {
        "helm.sh/hook": "test",
        "helm.sh/hook-delete-policy": "before-hook-creation",
    }


def test_each_operator_has_an_address() -> None:
    found = helm.rendered()
    service = found.one("Service")["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    assert service["selector"] == found.one("Deployment")["spec"]["selector"]["matchLabels"]


def test_the_pod_of_helm_test_is_let_in_and_is_no_operator() -> None:
    found = helm.rendered()
    (pod,) = (it for it in found.documents if it["kind"] == "Pod")
    labels = pod["metadata"]["labels"]
    (rule,) = found.one("NetworkPolicy")["spec"]["ingress"]
    assert rule["from"][0]["podSelector"]["matchLabels"].items() <= labels.items()
    selector = found.one("Deployment")["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= labels.items()
    assert pod["spec"]["securityContext"] == found.pod["spec"]["securityContext"]
    code = pod["spec"]["containers"][0]["command"][-1]
    assert code == (helm.CHART / "files/check_installation.py").read_text()
    assert "$(" not in code, "Kubernetes would put a variable there"
