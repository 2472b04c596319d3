"""The kinds that the operator reads and writes, each spelled once."""

from typing import Final

from atoll_api import names
from atoll_operator.kubernetes.api import Resource

TRAINING_JOBS: Final = Resource(
    names.GROUP, names.VERSION, names.PLURAL, names.KIND, has_status=True
)
PODS: Final = Resource("", "v1", "pods", "Pod", has_status=True)
SERVICES: Final = Resource("", "v1", "services", "Service", has_status=True)
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
CLAIMS: Final = Resource(
    "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", has_status=True
)
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False, has_status=True)
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")
"""What happened to a job, as this operator writes it."""
CORE_EVENTS: Final = Resource("", "v1", "events", "Event")
"""The same objects by their older name, under which all that others tell is read."""
JOBS: Final = Resource("batch", "v1", "jobs", "Job", has_status=True)
STATEFUL_SETS: Final = Resource("apps", "v1", "statefulsets", "StatefulSet", has_status=True)
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
    has_status=True,
)
