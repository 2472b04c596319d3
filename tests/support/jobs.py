"""Jobs for tests, as a user would write them."""

from typing import Any

from atoll_api.spec import TrainingJob


def job(
    count: int = 3,
    *,
    quorum: int | None = None,
    baseline: bool = False,
    max_restarts: int = 3,
    **spec: Any,
) -> TrainingJob:
    islands: dict[str, Any] = {"count": count, "maxRestarts": max_restarts}
    if quorum is not None:
        islands["quorum"] = quorum
    return TrainingJob.from_document(
        {
            "apiVersion": "atoll.dev/v1alpha1",
            "kind": "TrainingJob",
            "metadata": {"name": "digits"},
            "spec": {
                "task": {"type": "Diffusion"},
                "data": {"source": "builtin://digits"},
                "islands": islands,
                "strategy": {"type": "ExpertEnsemble"},
                "baseline": {"enabled": baseline},
                **spec,
            },
        }
    )
