"""Whether two jobs may share a folder: pure."""

from typing import Any, Final

from atoll_api.spec import TrainingJob

_WITHOUT_EFFECT: Final = (
    "runPolicy",
    "template",
    "roles",
    "network",
    "suspend",
    "managedBy",
    "islands.quorum",
    "islands.template",
    "artifacts.quota",
    "artifacts.storage.persistentVolumeClaim",
)
"""Fields of a spec that change no result: when a job ends, and where on a cluster it runs."""


def difference(known: TrainingJob, wanted: TrainingJob) -> str | None:
    """The first field in which a rerun differs where it must not, with both values; or None.

    As on a cluster, `runPolicy` may change and the quorum may go down. The quota may change, too:
    a job that ran into it goes on with a larger one. So may what is without effect here.
    """
    if wanted.spec.islands.required > known.spec.islands.required:
        old, new = known.spec.islands.required, wanted.spec.islands.required
        return f"spec.islands.quorum is {old} there and {new} here; it may only go down"
    return _first_difference(_immutable(known), _immutable(wanted), "")


def what_counts(job: TrainingJob) -> dict[str, Any]:
    """The spec, as a document, without what no result depends on."""
    spec: dict[str, Any] = job.to_document()["spec"]
    for path in _WITHOUT_EFFECT:
        *parents, last = path.split(".")
        node = spec
        for parent in parents:
            node = node[parent]
        node.pop(last, None)
    spec["islands"]["overrides"] = [
        {"island": it["island"], "data": it["data"]}
        for it in spec["islands"]["overrides"]
        if "data" in it
    ]
    return spec


def _immutable(job: TrainingJob) -> dict[str, Any]:
    document = job.to_document()
    return {**document, "spec": what_counts(job), "metadata": {"name": job.metadata.name}}


def _first_difference(known: Any, wanted: Any, path: str) -> str | None:
    if isinstance(known, dict) and isinstance(wanted, dict):
        for key in sorted({*known, *wanted}):
            below = f"{path}.{key}" if path else key
            found = _first_difference(known.get(key), wanted.get(key), below)
            if found is not None:
                return found
        return None
    return None if known == wanted else f"{path} is {known} there and {wanted} here"
