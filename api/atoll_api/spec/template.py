"""What the pods of a job are, where its own needs do not say: `template`, wherever it stands.

A part of Kubernetes' pod template, in its words: what a job has to say of where it runs, and
nothing that could take a pod out of the `restricted` Pod Security Standard. One container a pod,
so its fields and the pod's stand side by side. `atoll run` starts processes and reads none of it.
"""

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from atoll_api.base import CelRule, FrozenModel, Items
from atoll_api.names import Role
from atoll_api.spec.object_names import LABEL_PATTERN, SUBDOMAIN_PATTERN, Key, LabelValue
from atoll_api.units import QUANTITY_PATTERN

_KEY: Final = r"^[-._a-zA-Z0-9]+$"
_MOST: Final = 2**63 - 1
"""As a number; larger ones are text."""


def _without_pattern(max_length: int) -> WithJsonSchema:
    """For the API server the length alone: a template stands in four places of one schema."""
    return WithJsonSchema({"type": "string", "maxLength": max_length})


ObjectName = Annotated[str, Field(pattern=SUBDOMAIN_PATTERN, max_length=253), _without_pattern(253)]
VolumeName = Annotated[str, Field(pattern=LABEL_PATTERN, max_length=63), _without_pattern(63)]


def _as_text(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool) and value <= _MOST
    return str(value) if whole else value


Quantity = Annotated[
    str,
    Field(pattern=QUANTITY_PATTERN, max_length=32),
    BeforeValidator(_as_text),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": r"^[0-9.]+[a-zA-Z]{0,2}$"}),
]
"""As Kubernetes writes amounts: `500m`, `2Gi`, `1`."""


_BY_NAME: Final = Field(
    json_schema_extra={
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    }
)
Opaque = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""As Kubernetes has it: its full schema is larger than that of a whole job."""


def _one_of(what: str, *fields: str) -> CelRule:
    given = ", ".join(f"has(self.{field})" for field in fields)
    return CelRule(f"[{given}].exists_one(x, x)", f"exactly one {what}")


class KeyReference(FrozenModel):
    """A key of an object in the job's namespace."""

    name: ObjectName
    key: Annotated[str, Field(pattern=_KEY, max_length=253), _without_pattern(253)]


class ValueSource(FrozenModel):
    """Where a value comes from."""

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            "has(self.secretKeyRef) != has(self.configMapKeyRef)",
            "exactly one of secretKeyRef, configMapKeyRef",
        ),
    )
    secret_key_ref: KeyReference | None = None
    config_map_key_ref: KeyReference | None = None


class EnvironmentVariable(FrozenModel):
    """An environment variable."""

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule("has(self.value) != has(self.valueFrom)", "exactly one of value, valueFrom"),
        CelRule("!self.name.startsWith('ATOLL_')", "names that begin with ATOLL_ are reserved"),
    )
    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=253)
    value: str | None = Field(default=None, max_length=32_768)
    """`{island}` stands for the number of the island."""
    value_from: ValueSource | None = None


Amounts = Annotated[dict[Annotated[Key, _without_pattern(317)], Quantity], Field(max_length=32)]


class Resources(FrozenModel):
    """What the container takes, as `cpu: 2`, `memory: 4Gi`, `nvidia.com/gpu: 1`."""

    requests: Amounts = Field(default_factory=dict)
    """What it is sure to have. CPU and memory that neither this nor `limits` names: the threads
    of an island, and 1Gi."""
    limits: Amounts = Field(default_factory=dict)
    """What it may not exceed."""


class Toleration(FrozenModel):
    """A taint of nodes that the pod tolerates."""

    key: Annotated[Key, _without_pattern(317)] | None = None
    """All taints when left out, with operator Exists."""
    operator: Literal["Equal", "Exists"] | None = None
    value: Annotated[LabelValue, _without_pattern(63)] | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = Field(default=None, ge=0, le=2**31 - 1)


class Affinity(FrozenModel):
    """Which nodes the pod wants, and beside which pods; each as in a pod."""

    node_affinity: Opaque | None = None
    pod_affinity: Opaque | None = None
    pod_anti_affinity: Opaque | None = None


class EmptyDirSource(FrozenModel):
    """A folder that is gone with the pod."""

    medium: Literal["Memory"] | None = None
    """Memory: not on the node's disk; counts as the container's memory."""
    size_limit: Quantity | None = None


class ClaimSource(FrozenModel):
    """A claim in the job's namespace."""

    claim_name: ObjectName


class ConfigMapSource(FrozenModel):
    """A ConfigMap in the job's namespace: a file a key."""

    name: ObjectName


class SecretSource(FrozenModel):
    """A Secret in the job's namespace: a file a key."""

    secret_name: ObjectName


class NfsSource(FrozenModel):
    """A folder of an NFS server. Namespaces that enforce `restricted` refuse it: claim it there."""

    server: str = Field(min_length=1, max_length=253)
    path: str = Field(pattern=r"^/", max_length=1024)


class CsiSource(FrozenModel):
    """An inline volume of a CSI driver."""

    driver: ObjectName
    volume_attributes: dict[str, str] = Field(default_factory=dict, max_length=32)
    """As the driver wants them."""


class Volume(FrozenModel):
    """A volume, and where it is mounted. Of the sources, exactly one."""

    SOURCES: ClassVar = "emptyDir, persistentVolumeClaim, configMap, secret, nfs, csi"
    cel_rules: ClassVar[tuple[CelRule, ...]] = (_one_of("source", *SOURCES.split(", ")),)
    name: VolumeName
    mount_path: str = Field(pattern=r"^/[^:]+$", max_length=1024)
    sub_path: str | None = Field(default=None, pattern=r"^[^/][^:]*$", max_length=1024)
    """A folder within the volume, in place of its root."""
    read_only: bool | None = None
    empty_dir: EmptyDirSource | None = None
    persistent_volume_claim: ClaimSource | None = None
    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None
    nfs: NfsSource | None = None
    csi: CsiSource | None = None

    @property
    def sources(self) -> tuple[FrozenModel | None, ...]:
        """All of them, in the order of SOURCES."""
        claim = self.persistent_volume_claim
        return (self.empty_dir, claim, self.config_map, self.secret, self.nfs, self.csi)


class LocalReference(FrozenModel):
    """An object in the job's namespace."""

    name: ObjectName


class SecurityContext(FrozenModel):
    """Who the processes are. They are never root, whatever the image says."""

    run_as_user: int | None = Field(default=None, ge=1, le=2**31 - 1)
    """The image's user when left out, which has to be a number other than 0."""
    fs_group: int | None = Field(default=None, ge=1, le=2**31 - 1)
    """The group to which volumes belong."""


_STRINGS: Final = WithJsonSchema(
    {"type": "object", "maxProperties": 64, "additionalProperties": {"type": "string"}}
)
Labels = Annotated[dict[Key, LabelValue], Field(max_length=64), _STRINGS]
Annotations = Annotated[dict[Key, str], Field(max_length=64), _STRINGS]


class PodTemplate(FrozenModel):
    """Pods on a cluster; without effect on `atoll run`."""

    image: str | None = Field(default=None, pattern=r"^\S+$", max_length=1024)
    """An image with Atoll's worker in it; the operator's own worker image when left out."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """Whether a node looks for the image anew: IfNotPresent, and Always for `latest`, when left
    out."""
    image_pull_secrets: Annotated[Items[LocalReference], _BY_NAME] = Field(
        default=(), max_length=16
    )
    """What opens the image's registry, beside what the operator is set up with."""
    env: Annotated[Items[EnvironmentVariable], _BY_NAME] = Field(default=(), max_length=128)
    """Environment variables. Those of threads are no choice: say `islands.threads`."""
    resources: Resources | None = None
    node_selector: Labels = Field(default_factory=dict)
    """Labels that a node has to have."""
    tolerations: Items[Toleration] = Field(default=(), max_length=64)
    """Taints of nodes that do not keep the pod away."""
    affinity: Affinity | None = None
    priority_class_name: ObjectName | None = None
    """Whom the pod may push off a node, and who may push it."""
    service_account_name: ObjectName | None = None
    """For what a cloud or a registry grants to it. Its token is never mounted: no process of a job
    speaks to the API server. The namespace's `default` when left out."""
    runtime_class_name: ObjectName | None = None
    """The container runtime: one for GPUs, or one with stronger walls."""
    scheduler_name: ObjectName | None = None
    """Who finds it a node, if not the cluster's default scheduler."""
    volumes: Annotated[Items[Volume], _BY_NAME] = Field(default=(), max_length=32)
    """Data, caches and what else the pod reads; `hostPath` is not to be had."""
    labels: Labels = Field(default_factory=dict)
    """More labels of the pod. Those of atoll.dev, and Kubernetes' own, are reserved."""
    annotations: Annotations = Field(default_factory=dict)
    """More annotations of the pod."""
    security_context: SecurityContext | None = None


class RoleTemplate(FrozenModel):
    """What is different for the pods of one role."""

    role: Role
    """`hub`, or a step of the strategy."""
    template: PodTemplate
    """Over `spec.template`, which describes its fields."""
