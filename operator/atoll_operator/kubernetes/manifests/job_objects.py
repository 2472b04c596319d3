"""All objects of a job but those that the plan starts one by one, in the order to write them."""

from collections.abc import Mapping

from atoll_api.names import Process
from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Json
from atoll_operator.kubernetes.manifests.config_map import config_map
from atoll_operator.kubernetes.manifests.hub import hub_claim, hub_service, hub_stateful_set
from atoll_operator.kubernetes.manifests.identities import KeyPair, identity_secrets
from atoll_operator.kubernetes.manifests.jobs import islands_service, shares_one_job
from atoll_operator.kubernetes.manifests.network_policies import network_policies


def commitment(
    blueprint: Blueprint, authority: bytes, issued: Mapping[Process, KeyPair]
) -> tuple[Json, ...]:
    """What is written once and never again. The last one commits: it names all others."""
    return (*identity_secrets(blueprint, issued), config_map(blueprint, authority))


def surroundings(blueprint: Blueprint, hub_replicas: int = 1) -> tuple[Json, ...]:
    """What is written before the first step and applied anew whenever it differs.

    Walls stand before whoever they are for.
    """
    claim = hub_claim(blueprint)
    shared = shares_one_job(blueprint.resolved.spec)
    return (
        *network_policies(blueprint),
        *((claim,) if claim else ()),
        hub_service(blueprint),
        *((islands_service(blueprint),) if shared else ()),
        hub_stateful_set(blueprint, hub_replicas),
    )
