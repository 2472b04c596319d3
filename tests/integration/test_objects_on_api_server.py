"""What the operator makes of a job that is accepted is never refused by a real API server."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import pytest
from cluster_jobs import SETTINGS, accepted, all_objects, blueprint
from dry_runs import DryRuns, RefusedError, dry_runs
from shown_jobs import document_of, shown_jobs
from written_jobs import each_value

from atoll_api.base import FrozenModel
from atoll_api.problems import InvalidJobError, parse_job
from atoll_api.spec.artifacts import Artifacts
from atoll_api.spec.network import Network
from atoll_api.spec.template import PodTemplate
from atoll_operator.kubernetes.manifests.blueprint import Blueprint
from atoll_operator.kubernetes.resources import (
    CLAIMS,
    JOBS,
    NETWORK_POLICIES,
    STATEFUL_SETS,
)

RESOURCES = {it.kind: it for it in (CLAIMS, JOBS, NETWORK_POLICIES, STATEFUL_SETS)}


@pytest.fixture(scope="module")
def server() -> Iterator[DryRuns]:
    with dry_runs() as found:
        yield found


def objects(kinds: Collection[str], **spec: Any) -> Iterable[Any]:
    """Of a job, if it is accepted; of its Jobs, which have the same template, the last."""
    try:
        drawn = blueprint(**{"islands.count": 1, **spec})
    except InvalidJobError:
        return ()
    return {it["kind"]: it for it in all_objects(drawn) if it["kind"] in kinds}.values()


def complaint(server: DryRuns, made: Any) -> str:
    metadata = {**made["metadata"], "namespace": server.namespace}
    try:
        server.create({**made, "metadata": metadata}, RESOURCES[made["kind"]])
    except RefusedError as error:
        return f"{made} is refused: {error}"
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "model", "kinds"),
    [
        ("template", PodTemplate, ("Job", "StatefulSet")),
        ("network", Network, ("NetworkPolicy",)),
        ("artifacts", Artifacts, ("PersistentVolumeClaim", "StatefulSet", "NetworkPolicy")),
    ],
)
def test_objects_of_each_value_are_accepted(
    server: DryRuns, field: str, model: type[FrozenModel], kinds: tuple[str, ...]
) -> None:
    """But for affinity, whose fields only Kubernetes knows."""
    made = [
        it
        for value in each_value(model)
        if "affinity" not in value
        for it in objects(kinds, **{field: value})
    ]
    assert {it["kind"] for it in made} == set(kinds)
    assert list(filter(None, (complaint(server, it) for it in made))) == []


SHOWN = shown_jobs()


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
def test_objects_of_what_the_documentation_shows_are_accepted(
    server: DryRuns, shown: Mapping[str, Any]
) -> None:
    document = document_of(shown)
    server.create(document)
    drawn = Blueprint(accepted(parse_job(document)), SETTINGS)
    made = [it for it in all_objects(drawn) if it["kind"] in RESOURCES]
    assert list(filter(None, (complaint(server, it) for it in made))) == []
