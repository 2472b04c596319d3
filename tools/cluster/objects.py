"""The objects that make an empty cluster usable; pure."""

from tools.cluster.addresses import PROVISIONER, STORAGE_CLASS

Document = dict[str, object]

CLUSTER_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"

LOOK = ["get", "list", "watch"]


def objects() -> dict[str, Document]:
    """Path in the API -> object, for server-side apply."""
    return {
        **_role("atoll:coredns", _rule("", ("endpoints", "services", "pods", "namespaces"), LOOK),
                _rule("discovery.k8s.io", ("endpointslices",), LOOK)),
        **_role("atoll:storage",
                _rule("", ("persistentvolumes",), [*LOOK, "create", "update", "patch", "delete"]),
                _rule("", ("persistentvolumeclaims",), [*LOOK, "update"]),
                _rule("", ("nodes",), LOOK),
                _rule("", ("events",), ["create", "update", "patch"]),
                _rule("storage.k8s.io", ("storageclasses",), LOOK)),
        f"{STORAGE_CLASSES}/{STORAGE_CLASS}": _storage_class(),
    }  # fmt: skip


def _role(user: str, *rules: Document) -> dict[str, Document]:
    group = "rbac.authorization.k8s.io"
    role: Document = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": user},
        "rules": list(rules),
    }
    binding: Document = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": user},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": user},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
    return {f"{CLUSTER_ROLES}/{user}": role, f"{BINDINGS}/{user}": binding}


def _rule(group: str, resources: tuple[str, ...], verbs: list[str]) -> Document:
    return {"apiGroups": [group], "resources": list(resources), "verbs": verbs}


def _storage_class() -> Document:
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": default},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",  # a folder is on one node
    }
