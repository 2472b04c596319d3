"""Whether two jobs may share a folder: pure."""

from typing import Any

from atoll_api.spec import TrainingJob


def difference(known: TrainingJob, wanted: TrainingJob) -> str | None:
    """The first field in which a rerun differs where it must not, with both values; or None.

    As on a cluster, `runPolicy` may change and the quorum may go down. The quota may change, too:
    a job that ran into it goes on with a larger one.
    """
    if wanted.spec.islands.required > known.spec.islands.required:
        old, new = known.spec.islands.required, wanted.spec.islands.required
        return f"spec.islands.quorum is {old} there and {new} here; it may only go down"
    return _first_difference(_immutable(known), _immutable(wanted), "")


def _immutable(job: TrainingJob) -> dict[str, Any]:
    document = job.to_document()
    document["spec"].pop("runPolicy", None)
    document["spec"]["islands"].pop("quorum", None)
    document["spec"]["artifacts"].pop("quota", None)
    document["metadata"] = {"name": job.metadata.name}
    return document


def _first_difference(known: Any, wanted: Any, path: str) -> str | None:
    if isinstance(known, dict) and isinstance(wanted, dict):
        for key in sorted({*known, *wanted}):
            below = f"{path}.{key}" if path else key
            found = _first_difference(known.get(key), wanted.get(key), below)
            if found is not None:
                return found
        return None
    return None if known == wanted else f"{path} is {known} there and {wanted} here"
