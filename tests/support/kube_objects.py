"""Small objects for tests of what speaks to an API server."""

from atoll_operator.kubernetes.api import Json


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
