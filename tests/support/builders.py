"""Small ways to make the documents that tests need."""

import copy
from typing import Any

from atoll_api.problems import parse_job
from atoll_api.spec import TrainingJob

SMALLEST: dict[str, Any] = {
    "apiVersion": "atoll.dev/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "digits"},
    "spec": {
        "task": {"type": "Diffusion"},
        "data": {"source": "builtin://digits"},
        "islands": {"count": 4},
        "strategy": {"type": "ExpertEnsemble"},
    },
}


def job_document(**spec: Any) -> dict[str, Any]:
    """The smallest job with fields of its spec replaced; a dotted path reaches deeper.

    `job_document(**{"islands.count": 2})` changes one field and keeps its siblings.
    """
    document = copy.deepcopy(SMALLEST)
    for path, value in spec.items():
        node = document["spec"]
        *parents, last = path.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return document


def make_job(**spec: Any) -> TrainingJob:
    """The parsed job of `job_document`."""
    return parse_job(job_document(**spec))


def job(
    count: int = 3,
    *,
    quorum: int | None = None,
    baseline: bool = False,
    max_restarts: int = 3,
    **spec: Any,
) -> TrainingJob:
    """A job by what tests of the operator speak of; further fields as in `job_document`."""
    islands: dict[str, Any] = {"count": count, "maxRestarts": max_restarts}
    if quorum is not None:
        islands["quorum"] = quorum
    return make_job(islands=islands, baseline={"enabled": baseline}, **spec)
