"""The ConfigMap of a job: all that its processes are told. Immutable, and written last."""

import json

from atoll_api import names, resolved_job
from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Json


def config_map(blueprint: Blueprint, authority: bytes) -> Json:
    """The accepted job, the hub's order, and whom all processes trust.

    Args:
        blueprint: Of the job.
        authority: The certificate of its authority, in PEM; and that of the operator's own, which
            hubs trust as well.
    """
    resolved = blueprint.resolved
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": blueprint.metadata(names.job_object(blueprint.job, blueprint.resolved.job.uid)),
        "immutable": True,
        "data": {
            resolved_job.JOB_FILE: _text(resolved.to_document()),
            resolved_job.HUB_FILE: _text(resolved_job.order_of_hub(resolved).to_document()),
            resolved_job.AUTHORITY_FILE: authority.decode("ascii"),
        },
    }


def _text(document: Json) -> str:
    """One field a line, for whoever looks; by one space, for an object may have 1 MiB."""
    return json.dumps(document, sort_keys=True, indent=1) + "\n"
