"""What a cluster lets pass, worked out of the policies, is what the topology says and no more."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cluster_jobs import MERGING, SETTINGS, blueprint
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll_api import names
from atoll_api.ordering import neighbours
from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Collector, Json
from atoll_operator.kubernetes.manifests.dialling import Edge, End, circles, edges
from atoll_operator.kubernetes.manifests.network_policies import network_policies
from atoll_operator.plan.pipeline import pipeline

PORTS = (names.HUB_PORT, names.ISLAND_PORT, names.METRICS_PORT, 8080)


@dataclass(frozen=True)
class Pod:
    labels: dict[str, str]
    namespace: str = "lab"


def pods_of(drawn: Blueprint) -> dict[End, Pod]:
    """As the Job controller makes them."""
    spec = drawn.resolved.spec
    found = {End("hub"): Pod(names.labels("digits", "1", "hub"))}
    for step in pipeline(spec):
        shared = step.role == "island" and spec.strategy.type != "ExpertEnsemble"
        labels = names.labels("digits", "1", step.role, None if shared else step.island)
        if shared:
            labels[names.LABEL_COMPLETION_INDEX] = str(step.island)
        found[End(step.role, step.island)] = Pod(labels)
    return found


def selects(selector: Json, labels: dict[str, str]) -> bool:
    for it in selector.get("matchExpressions", ()):
        assert it["operator"] == "In"
        if labels.get(it["key"]) not in it["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def is_peer(peer: Json, pod: Pod) -> bool:
    assert peer.keys() <= {"podSelector", "namespaceSelector", "ipBlock"}
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        namespace = {"kubernetes.io/metadata.name": pod.namespace, "name": pod.namespace}
        if not selects(peer["namespaceSelector"], namespace):
            return False
    elif pod.namespace != "lab":
        return False
    return selects(peer.get("podSelector", {}), pod.labels)


def lets(policies: list[Json], direction: str, own: Pod, other: Pod, port: int) -> bool:
    """Kubernetes' rule: none that selects the pod lets all pass, else one of them has to."""
    key, peers = direction.lower(), "from" if direction == "Ingress" else "to"
    concerned = [
        it["spec"]
        for it in policies
        if own.namespace == it["metadata"]["namespace"]
        and selects(it["spec"]["podSelector"], own.labels)
        and direction in it["spec"]["policyTypes"]
    ]
    return not concerned or any(
        any(is_peer(peer, other) for peer in rule.get(peers, [{"podSelector": {}}]))
        and any(it["port"] == port and it["protocol"] == "TCP" for it in rule.get("ports", ()))
        for spec in concerned
        for rule in spec.get(key, ())
    )


def passes(policies: list[Json], source: Pod, target: Pod, port: int) -> bool:
    outward = lets(policies, "Egress", source, target, port)
    return outward and lets(policies, "Ingress", target, source, port)


def allowed(drawn: Blueprint) -> Iterator[Edge]:
    policies, pods = list(network_policies(drawn)), pods_of(drawn)
    for source, one in pods.items():
        for target, other in pods.items():
            for port in PORTS:
                if source != target and passes(policies, one, other, port):
                    yield Edge(source, target, port)


def iterative(topology: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"type": "IterativeMerge", "iterativeMerge": {"topology": topology, **settings}}


TOPOLOGIES: list[dict[str, Any]] = [
    iterative({"type": "Ring"}),
    iterative({"type": "Ring"}, initialization="Independent"),
    iterative({"type": "FullyConnected"}),
    iterative({"type": "Bipartite"}),
    iterative({"type": "Exponential"}),
    iterative({"type": "Torus"}),
    iterative({"type": "Edges", "edges": {"pairs": [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]]}}),
    {"type": "SingleMerge"},
    {"type": "SingleMerge", "singleMerge": {"gossip": {"graph": "Ring"}}},
    {"type": "SingleMerge", "singleMerge": {"gossip": {"graph": "Exponential"}}},
]


@pytest.mark.parametrize("strategy", TOPOLOGIES, ids=str)
def test_what_passes_are_the_edges_of_the_topology(strategy: dict[str, Any]) -> None:
    drawn = blueprint(**{**MERGING, "strategy": strategy, "islands.count": 6})
    found = set(allowed(drawn))
    assert found == edges(drawn.resolved.spec)
    among = {
        (it.source.island, it.target.island)
        for it in found
        if it.source.role == it.target.role == "island"
    }
    around = neighbours(drawn.resolved.spec)
    assert among == {(i, j) for i, read in enumerate(around) for j in read}


@pytest.mark.parametrize("baseline", [False, True])
def test_islands_of_an_ensemble_reach_the_hub_and_nobody_else(*, baseline: bool) -> None:
    drawn = blueprint(**{"baseline.enabled": baseline})
    found = set(allowed(drawn))
    assert found == edges(drawn.resolved.spec)
    assert {(it.target.role, it.port) for it in found} == {("hub", 7443)}
    assert {it.source.role for it in found} >= {"island", "router", "partition", "evaluate"}


@given(
    st.integers(3, 8).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.sets(
                st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(
                    lambda pair: pair[0] < pair[1]
                )
            ),
        )
    )
)
@settings(max_examples=25, deadline=None)
def test_of_any_graph(drawn_graph: tuple[int, set[tuple[int, int]]]) -> None:
    count, more = drawn_graph
    pairs = sorted({*more, *((i, i + 1) for i in range(count - 1))})  # a path holds it together
    strategy = iterative({"type": "Edges", "edges": {"pairs": [list(it) for it in pairs]}})
    drawn = blueprint(**{**MERGING, "strategy": strategy, "islands.count": count})
    assert set(allowed(drawn)) == edges(drawn.resolved.spec)


@pytest.mark.parametrize(
    ("topology", "count", "expected"),
    [("FullyConnected", 1000, 1), ("Bipartite", 1000, 2), ("Ring", 4, 2), ("Ring", 7, 7)],
)
def test_islands_with_the_same_neighbours_share_a_policy(
    topology: str, count: int, expected: int
) -> None:
    strategy = iterative({"type": topology})
    spec = blueprint(**{**MERGING, "strategy": strategy, "islands.count": count}).resolved.spec
    found = circles(spec)
    assert len(found) == expected
    assert sorted(it for circle in found for it in circle.members) == list(range(count))


OPERATOR = Pod(dict(SETTINGS.operator_labels), "atoll-system")
SCRAPER = Pod({"app": "prometheus"}, "monitoring")
STRANGER = Pod({"app": "stranger"})
ELSEWHERE = Pod(dict(SETTINGS.operator_labels), "lab")


@pytest.mark.parametrize("spec", [{}, MERGING])
def test_who_comes_in_from_outside(spec: dict[str, Any]) -> None:
    drawn = blueprint(**spec)
    policies, pods = list(network_policies(drawn)), pods_of(drawn)
    for end, pod in pods.items():
        opened = {it for it in PORTS if lets(policies, "Ingress", pod, OPERATOR, it)}
        assert opened == ({names.HUB_PORT} if end.role == "hub" else set())
        assert {it for it in PORTS if lets(policies, "Ingress", pod, SCRAPER, it)} == {9464}
        for other in (STRANGER, ELSEWHERE):
            assert not {it for it in PORTS if lets(policies, "Ingress", pod, other, it)}
            assert not {it for it in PORTS if lets(policies, "Egress", pod, other, it)}


def test_a_job_of_the_same_namespace_is_outside() -> None:
    policies = list(network_policies(blueprint()))
    other = Pod(names.labels("other", "1", "island", 0))
    hub = Pod(names.labels("digits", "1", "hub"))
    assert not lets(policies, "Ingress", hub, other, names.HUB_PORT)


def base_of(drawn: Blueprint) -> Json:
    found: Json = network_policies(drawn)[0]["spec"]
    return found


def test_nobody_scrapes_unless_settings_say_who() -> None:
    drawn = blueprint(replace(SETTINGS, metrics_from=()))
    assert base_of(drawn)["ingress"] == []
    assert base_of(drawn)["policyTypes"] == ["Ingress", "Egress"]


def test_names_are_looked_up_anywhere() -> None:
    ports = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    assert base_of(blueprint())["egress"][0] == {"ports": ports}


def test_what_a_user_allows_goes_out() -> None:
    egress = [{"cidr": "10.0.0.0/8", "ports": [443, 9000]}, {"cidr": "fd00::/8"}]
    found = base_of(blueprint(**{"network.egress": egress}))["egress"][-2:]
    ports = [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 9000}]
    assert found == [
        {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": ports},
        {"to": [{"ipBlock": {"cidr": "fd00::/8"}}]},
    ]


def test_an_open_network_has_no_walls() -> None:
    assert network_policies(blueprint(**{"network.isolation": "Open"})) == ()


def test_a_collector_of_traces_may_be_dialled_where_there_is_one() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
    drawn = blueprint(replace(SETTINGS, collector=Collector((peer,), 4317)))
    collector, pods = Pod({}, namespace="monitoring"), pods_of(drawn)
    policies = list(network_policies(drawn))
    assert all(passes(policies, pod, collector, 4317) for pod in pods.values())
    assert not any(passes(policies, pod, collector, 4318) for pod in pods.values())
    assert not any(passes(policies, collector, pod, 4317) for pod in pods.values())
    without = list(network_policies(blueprint()))
    assert not any(passes(without, pod, collector, 4317) for pod in pods.values())
