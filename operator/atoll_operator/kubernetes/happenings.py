"""Events as Kubernetes keeps them. Pure."""

import uuid
from datetime import UTC, datetime
from typing import Final

from atoll_api import names
from atoll_operator.kubernetes.api import Json
from atoll_operator.kubernetes.resources import EVENTS
from atoll_operator.kubernetes.training_jobs import JobView
from atoll_operator.plan.events import Event

_MOST: Final = 1024
"""Characters of a note."""


def happening(event: Event, view: JobView, reporter: str, now: float) -> Json:
    """The object for something that happened to a job; its name says what it is, and when."""
    said = f"{view.uid}{view.resource_version}{event.reason}{event.message}"
    suffix = uuid.uuid5(uuid.NAMESPACE_URL, said).hex[:16]
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"namespace": view.key.namespace, "name": f"{view.key.name}.{suffix}"},
        "eventTime": moment,
        "type": event.type,
        "reason": event.reason,
        "action": "Reconcile",
        "note": event.message[:_MOST],
        "reportingController": names.MANAGED_BY,
        "reportingInstance": reporter[:128],
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": view.key.namespace,
            "name": view.key.name,
            "uid": view.uid,
            "resourceVersion": view.resource_version,
        },
    }
