"""What Kubernetes' own OpenAPI says of an object: its fields, their types, and what is required.

The models of the client are generated from it. What they do not know they drop, so an object has
to come back as it was.
"""

from typing import Any

import kubernetes.client.models as generated

_MODELS = {
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "PersistentVolumeClaim"): "V1PersistentVolumeClaim",
    ("v1", "Secret"): "V1Secret",
    ("v1", "Service"): "V1Service",
    ("apps/v1", "StatefulSet"): "V1StatefulSet",
    ("batch/v1", "Job"): "V1Job",
    ("networking.k8s.io/v1", "NetworkPolicy"): "V1NetworkPolicy",
}


def as_kubernetes_reads_it(document: dict[str, Any]) -> dict[str, Any]:
    """Raises what is wrong with a field, and leaves out fields that there are not."""
    model = getattr(generated, _MODELS[document["apiVersion"], document["kind"]])
    read: dict[str, Any] = model.model_validate(document).model_dump(
        by_alias=True, exclude_none=True, mode="json"
    )
    return read
