"""Small objects for tests of what speaks to an API server."""

from atoll_operator.kubernetes.api import Json, Key


def config_map(
    namespace: str, name: str, labels: dict[str, str] | None = None, **data: str
) -> Json:
    metadata: Json = {"name": name, "namespace": namespace}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def job(namespace: str, name: str, labels: dict[str, str] | None = None) -> Json:
    """A Job as the API server accepts it."""
    container = {"name": "worker", "image": "worker:1", "args": ["--order", "/order.json"]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": {"backoffLimit": 3, "template": {"spec": pod}},
    }


def core_event(key: Key, of: str, *, uid: str = "", name: str = "", **told: str) -> Json:
    """An event of the core group as a controller of Kubernetes tells it.

    Args:
        key: of the event.
        of: the kind of what it is about.
        uid: of what it is about.
        name: of what it is about; that of the event if not given.
        told: `reason`, `message`, `at` as a timestamp, and `kind`: Warning if not given.
    """
    moment = told.get("at", "2026-11-22T01:23:56Z")
    about = {"kind": of, "namespace": key.namespace, "name": name or key.name, "uid": uid}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": key.namespace, "name": key.name},
        "involvedObject": about,
        "type": told.get("kind", "Warning"),
        "reason": told.get("reason", ""),
        "message": told.get("message", ""),
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "eventTime": None,
        "source": {"component": "kubelet"},
    }


def owned_by(body: Json, owner: Json) -> Json:
    """The same object with an owner."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    return {**body, "metadata": {**body["metadata"], "ownerReferences": [reference]}}
