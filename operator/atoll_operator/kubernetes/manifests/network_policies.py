"""Network policies of a job: nothing but the edges of `dialling`, names, and what its user allows.

A pod may speak to another if a policy of each lets it. One policy denies everything to all pods of
the job and allows what all may do; one opens the hub; islands that exchange weights have one for
all with the same neighbours.
"""

from typing import Final

from atoll_api import names
from atoll_api.names import Role
from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Json
from atoll_operator.kubernetes.manifests.dialling import Circle, Islands, circles, merges

_NAMESPACE: Final = "kubernetes.io/metadata.name"
_DNS_PORT: Final = 53


def network_policies(blueprint: Blueprint) -> tuple[Json, ...]:
    """All policies of a job; none where its network is open."""
    spec = blueprint.resolved.spec
    if spec.network.isolation == "Open":
        return ()
    walls = (_base(blueprint), _of_the_hub(blueprint), *_of_islands(blueprint))
    return (*walls, _of_the_merge(blueprint)) if merges(spec) else walls


def _base(blueprint: Blueprint) -> Json:
    """For all pods of the job: they look up names, dial the hub, and are scraped."""
    name = names.policy_object(blueprint.job)
    hub = {"podSelector": {"matchLabels": names.selector(blueprint.job, "hub")}}
    scraped = _rule("from", list(blueprint.settings.metrics_from), names.METRICS_PORT)
    return _policy(
        blueprint.metadata(name),
        {"matchLabels": names.selector(blueprint.job)},
        ingress=[scraped] if blueprint.settings.metrics_from else [],
        egress=[
            {"ports": [_port(_DNS_PORT, "UDP"), _port(_DNS_PORT)]},
            _rule("to", [hub], names.HUB_PORT),
            *_traces(blueprint),
            *_asked_for(blueprint),
        ],
    )


def _traces(blueprint: Blueprint) -> list[Json]:
    collector = blueprint.settings.collector
    return [_rule("to", list(collector.peers), collector.port)] if collector else []


def _asked_for(blueprint: Blueprint) -> list[Json]:
    return [
        _rule("to", [{"ipBlock": {"cidr": it.cidr}}], *it.ports)
        for it in blueprint.resolved.spec.network.egress
    ]


def _of_the_hub(blueprint: Blueprint) -> Json:
    """The operator dials it as well: it asks what is bound, and how far steps are."""
    settings = blueprint.settings
    operator = {
        "namespaceSelector": {"matchLabels": {_NAMESPACE: settings.operator_namespace}},
        "podSelector": {"matchLabels": dict(settings.operator_labels)},
    }
    own = {"podSelector": {"matchLabels": names.selector(blueprint.job)}}
    return _policy(
        blueprint.metadata(names.hub_object(blueprint.job), "hub"),
        {"matchLabels": names.selector(blueprint.job, "hub")},
        ingress=[_rule("from", [own, operator], names.HUB_PORT)],
    )


def _of_islands(blueprint: Blueprint) -> list[Json]:
    found = circles(blueprint.resolved.spec)
    return [_of_circle(blueprint, it, alone=len(found) == 1) for it in found]


def _of_the_merge(blueprint: Blueprint) -> Json:
    islands = {"podSelector": _pods(blueprint, "island")}
    return _policy(
        blueprint.metadata(names.step_object(blueprint.job, names.MERGE), "merge"),
        _pods(blueprint, "merge"),
        egress=[_rule("to", [islands], names.ISLAND_PORT)],
    )


def _of_circle(blueprint: Blueprint, circle: Circle, *, alone: bool) -> Json:
    job, first = blueprint.job, names.island_step(circle.members[0])
    name = names.islands_object(job) if alone else names.step_object(job, first)
    merge = {"podSelector": _pods(blueprint, "merge")}
    readers = {"podSelector": _pods(blueprint, "island", circle.readers)}
    read = {"podSelector": _pods(blueprint, "island", circle.read)}
    return _policy(
        blueprint.metadata(name, "island"),
        _pods(blueprint, "island", None if alone else circle.members),
        ingress=[_rule("from", [readers, merge], names.ISLAND_PORT)],
        egress=[_rule("to", [read], names.ISLAND_PORT)],
    )


def _pods(blueprint: Blueprint, role: Role, islands: Islands | None = None) -> Json:
    chosen: Json = {"matchLabels": names.selector(blueprint.job, role)}
    if islands is not None:
        values = [str(it) for it in islands]
        index = {"key": names.LABEL_COMPLETION_INDEX, "operator": "In", "values": values}
        chosen["matchExpressions"] = [index]
    return chosen


def _policy(
    metadata: Json,
    pods: Json,
    *,
    ingress: list[Json] | None = None,
    egress: list[Json] | None = None,
) -> Json:
    """A direction that is None is not this policy's; one that is empty lets nothing pass."""
    rules = {"Ingress": ingress, "Egress": egress}
    given = {direction: it for direction, it in rules.items() if it is not None}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": pods,
            "policyTypes": list(given),
            **{direction.lower(): it for direction, it in given.items()},
        },
    }


def _rule(direction: str, peers: list[Json], *ports: int) -> Json:
    return {direction: peers} | ({"ports": [_port(it) for it in ports]} if ports else {})


def _port(number: int, protocol: str = "TCP") -> Json:
    return {"protocol": protocol, "port": number}
