"""What the operator may do, as the chart has to grant it: this and nothing more."""

from typing import Any

Right = tuple[str, str, str, str]
"""(group, resource, name or "", verb)."""


def rights(role: dict[str, Any]) -> list[Right]:
    """All that a role grants."""
    return [
        (group, resource, name, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    ]


def _expand(table: dict[tuple[str, str], str]) -> set[Right]:
    return {(*key, "", verb) for key, verbs in table.items() for verb in verbs.split()}


FOR_JOBS = _expand(
    {
        ("atoll.dev", "trainingjobs"): "get list watch delete",
        ("atoll.dev", "trainingjobs/status"): "get update patch",
        ("atoll.dev", "trainingjobs/finalizers"): "update",
        ("batch", "jobs"): "get list watch create patch delete",
        ("apps", "statefulsets"): "get list watch create patch delete",
        ("", "pods"): "get list watch",
        ("", "events"): "list watch",
        ("", "services"): "get create patch delete",
        ("", "persistentvolumeclaims"): "get create patch delete",
        ("networking.k8s.io", "networkpolicies"): "get create patch delete",
        ("", "configmaps"): "get create",
        ("", "secrets"): "create",
        ("events.k8s.io", "events"): "create patch",
    }
)


def for_itself(operator: str) -> set[Right]:
    """In its own namespace, for an operator of that name."""
    return {
        ("coordination.k8s.io", "leases", "", "create"),
        ("coordination.k8s.io", "leases", operator, "get"),
        ("coordination.k8s.io", "leases", operator, "update"),
        ("", "secrets", "", "create"),
        ("", "secrets", f"{operator}-authority", "get"),
    }


_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
_OTHERS = """
core: pods/log pods/exec pods/attach pods/eviction pods/ephemeralcontainers services/proxy secrets
core: configmaps namespaces nodes nodes/proxy serviceaccounts serviceaccounts/token endpoints
core: persistentvolumes replicationcontrollers resourcequotas
apps: deployments daemonsets replicasets statefulsets/scale
batch: cronjobs jobs/status
apiextensions.k8s.io: customresourcedefinitions
admissionregistration.k8s.io: mutatingwebhookconfigurations validatingwebhookconfigurations
rbac.authorization.k8s.io: roles rolebindings clusterroles clusterrolebindings
coordination.k8s.io: leases
policy: poddisruptionbudgets
certificates.k8s.io: certificatesigningrequests
kopf.dev: clusterkopfpeerings kopfpeerings
"""
_ESCALATIONS: set[Right] = {
    ("rbac.authorization.k8s.io", "clusterroles", "", "bind"),
    ("rbac.authorization.k8s.io", "clusterroles", "", "escalate"),
    ("rbac.authorization.k8s.io", "roles", "", "escalate"),
    ("", "users", "", "impersonate"),
    ("", "serviceaccounts", "", "impersonate"),
    ("", "secrets", "another", "get"),
    ("coordination.k8s.io", "leases", "another", "update"),
}


def questions(operator: str) -> set[Right]:
    """What to ask of an operator of that name: all that it may, and much that it may not."""
    kinds = {(group, resource) for group, resource, _, _ in FOR_JOBS}
    for line in filter(None, _OTHERS.splitlines()):
        group, _, resources = line.partition(": ")
        kinds |= {(group.replace("core", ""), it) for it in resources.split()}
    asked = {(*kind, "", verb) for kind in kinds for verb in _VERBS}
    named = {(*right[:3], verb) for right in for_itself(operator) if right[2] for verb in _VERBS}
    return asked | _ESCALATIONS | named
