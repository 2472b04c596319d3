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

FULL_TEMPLATE: dict[str, Any] = {
    "image": "registry.example.org/team/worker:1",
    "imagePullPolicy": "IfNotPresent",
    "imagePullSecrets": [{"name": "registry"}],
    "env": [
        {"name": "PLAIN", "value": ""},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "MAP", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "a.b"}}},
    ],
    "resources": {
        "requests": {"cpu": "500m", "memory": "1.5Gi"},
        "limits": {"cpu": 2, "memory": "2Gi", "nvidia.com/gpu": 1},
    },
    "nodeSelector": {"topology.kubernetes.io/zone": "a"},
    "tolerations": [
        {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "spot", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 30},
    ],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "podAffinityTerm": {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": {"matchLabels": {"atoll.dev/role": "island"}},
                    },
                }
            ]
        }
    },
    "priorityClassName": "high",
    "serviceAccountName": "trainer",
    "runtimeClassName": "nvidia",
    "schedulerName": "packer",
    "volumes": [
        {
            "name": "tmp",
            "mountPath": "/cache",
            "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"},
        },
        {
            "name": "data",
            "mountPath": "/data",
            "subPath": "images/train",
            "readOnly": True,
            "persistentVolumeClaim": {"claimName": "images"},
        },
        {"name": "map", "mountPath": "/map", "configMap": {"name": "map"}},
        {"name": "keys", "mountPath": "/keys", "secret": {"secretName": "keys"}},
        {"name": "nfs", "mountPath": "/nfs", "nfs": {"server": "10.0.0.1", "path": "/export"}},
        {
            "name": "bucket",
            "mountPath": "/bucket",
            "csi": {"driver": "bucket.example.org", "volumeAttributes": {"name": "b"}},
        },
    ],
    "labels": {"team.example.org/name": "vision"},
    "annotations": {"note": "a sentence, with spaces"},
    "securityContext": {"runAsUser": 1000, "fsGroup": 2000},
}
"""A template with every field; `nfs` needs a namespace that does not enforce `restricted`."""


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
        node[last] = copy.deepcopy(value)
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
