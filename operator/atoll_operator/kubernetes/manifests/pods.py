"""The pod of a process: what every pod of a job has, and what its template says.

Every pod passes the `restricted` Pod Security Standard, and speaks to no API server.
"""

from dataclasses import dataclass, field
from typing import Final

from atoll_api import environment, names, resolved_job
from atoll_api.names import Role, StepName
from atoll_api.spec.data import ISLAND_NUMBER
from atoll_api.spec.template import EnvironmentVariable, PodTemplate, Volume
from atoll_api.templates import template_of
from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Json

CONTAINER: Final = "atoll"
"""The one container of a pod."""
COMMAND: Final = ("python", "-m", "atoll_worker")
"""Said, and not left to the image: one that a user builds may have another entrypoint."""
GRACE_SECONDS: Final = 30
"""From SIGTERM to SIGKILL: the time to save a checkpoint."""
METRICS: Final = "metrics"
"""The name of that port, as a PodMonitor asks for it."""
SCRAPED: Final = {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": str(names.METRICS_PORT),
    "prometheus.io/path": "/metrics",
}
"""Annotations that many a Prometheus goes by which knows no PodMonitor."""
_JOB: Final = f"{names.RESERVED_VOLUME_PREFIX}job"
_SCRATCH: Final = f"{names.RESERVED_VOLUME_PREFIX}scratch"
_COMPLETION_INDEX: Final = f"$({names.ENV_COMPLETION_INDEX})"
_STEP_MEMORY: Final = "1Gi"
"""torch and its libraries alone are 650 to 730 MiB (measured)."""
_HUB_REQUESTS: Final = {"cpu": "100m", "memory": "192Mi"}
"""It takes 60 MB idle and 160 MB with 1,000 islands that watch."""


@dataclass(frozen=True)
class Worker:
    """What is different from process to process."""

    role: Role
    step: StepName
    """`island-$(JOB_COMPLETION_INDEX)` for all pods of an Indexed Job."""
    arguments: tuple[str, ...]
    files: tuple[str, ...]
    """Of the ConfigMap."""
    identity: Json
    """The volume with its certificate."""
    identity_mounts: tuple[Json, ...]
    island: int | None = None
    indexed: bool = False
    ports: tuple[tuple[str, int], ...] = ()
    """Beside that of metrics."""
    env: tuple[Json, ...] = ()
    """Beside what every process has."""
    subdomain: str | None = None
    """The headless Service that gives the pods names."""
    container: Json = field(default_factory=dict)
    """More fields of the container."""
    volumes: tuple[Json, ...] = ()
    mounts: tuple[Json, ...] = ()
    fs_group: int | None = None


def pod_template(blueprint: Blueprint, worker: Worker, restart_policy: str) -> Json:
    """The pod template of a process."""
    said = template_of(blueprint.resolved.spec, worker.role, worker.island)
    own = names.labels(blueprint.job, blueprint.settings.version, worker.role, worker.island)
    scraped = SCRAPED if blueprint.settings.scrape_annotations else {}
    annotations = {**scraped, **said.annotations}
    return {
        "metadata": {
            "labels": {**said.labels, **own},
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": {
            "restartPolicy": restart_policy,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            **({"subdomain": worker.subdomain} if worker.subdomain else {}),
            "securityContext": _pod_security(said, worker),
            **_placement(blueprint, said),
            "containers": [_container(blueprint, said, worker)],
            "volumes": _volumes(blueprint, said, worker),
        },
    }


def _pod_security(said: PodTemplate, worker: Worker) -> Json:
    own: Json = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    asked = said.security_context.to_document() if said.security_context else {}
    group = {} if worker.fs_group is None else {"fsGroup": worker.fs_group}
    whole = {**own, **group, **asked}
    if "fsGroup" in whole:
        whole["fsGroupChangePolicy"] = "OnRootMismatch"
    return whole


def _placement(blueprint: Blueprint, said: PodTemplate) -> Json:
    """Where the pod runs, and as whom."""
    secrets = dict.fromkeys(
        (*blueprint.settings.image_pull_secrets, *(it.name for it in said.image_pull_secrets))
    )
    fields: Json = {
        "imagePullSecrets": [{"name": it} for it in secrets],
        "nodeSelector": dict(said.node_selector),
        "tolerations": [it.to_document() for it in said.tolerations],
        "affinity": said.affinity.to_document() if said.affinity else None,
        "priorityClassName": said.priority_class_name,
        "serviceAccountName": said.service_account_name,
        "runtimeClassName": said.runtime_class_name,
        "schedulerName": said.scheduler_name,
    }
    return {name: value for name, value in fields.items() if value}


def _container(blueprint: Blueprint, said: PodTemplate, worker: Worker) -> Json:
    policy = said.image_pull_policy or blueprint.settings.image_pull_policy
    return {
        "name": CONTAINER,
        "image": said.image or blueprint.resolved.image,
        **({"imagePullPolicy": policy} if policy else {}),
        "command": list(COMMAND),
        "args": [*worker.arguments, "--metrics-port", str(names.METRICS_PORT)],
        "env": _environment(blueprint, said, worker),
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in (*worker.ports, (METRICS, names.METRICS_PORT))
        ],
        "resources": _resources(blueprint, said, worker),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": _JOB, "mountPath": resolved_job.JOB_FOLDER, "readOnly": True},
            *worker.identity_mounts,
            {"name": _SCRATCH, "mountPath": resolved_job.SCRATCH_FOLDER},
            *worker.mounts,
            *map(_mount, said.volumes),
        ],
        **worker.container,
    }


def _environment(blueprint: Blueprint, said: PodTemplate, worker: Worker) -> list[Json]:
    """In this order: a value may name a variable that stands before it."""
    is_hub = worker.role == names.HUB
    threads = 1 if is_hub else blueprint.resolved.spec.islands.threads
    plain = {
        names.ENV_STEP: worker.step,
        names.ENV_NAMESPACE: blueprint.resolved.namespace,
        **blueprint.settings.environment,
        "HOME": resolved_job.SCRATCH_FOLDER,
        "TMPDIR": resolved_job.SCRATCH_FOLDER,
        **environment.ALLOCATOR,
    }
    found: dict[str, Json] = {}
    if worker.indexed:
        path = f"metadata.annotations['{names.LABEL_COMPLETION_INDEX}']"
        source = {"fieldRef": {"fieldPath": path}}
        found[names.ENV_COMPLETION_INDEX] = {"valueFrom": source}
    found |= {name: {"value": value} for name, value in plain.items()}
    found |= {it["name"]: {"valueFrom": it["valueFrom"]} for it in worker.env}
    found |= {it.name: _value(it, worker) for it in said.env}
    found |= {name: {"value": value} for name, value in environment.fixed(threads).items()}
    return [{"name": name, **value} for name, value in found.items()]


def _value(variable: EnvironmentVariable, worker: Worker) -> Json:
    if variable.value_from is not None:
        return {"valueFrom": variable.value_from.to_document()}
    island = _COMPLETION_INDEX if worker.indexed else str(worker.island)
    value = variable.value or ""
    return {"value": value.replace(ISLAND_NUMBER, island) if worker.role == "island" else value}


def _resources(blueprint: Blueprint, said: PodTemplate, worker: Worker) -> Json:
    """Requests that a user does not make: without any, a full node would take one more pod."""
    threads = blueprint.resolved.spec.islands.threads
    is_hub = worker.role == names.HUB
    own = _HUB_REQUESTS if is_hub else {"cpu": str(threads), "memory": _STEP_MEMORY}
    asked = said.resources.requests if said.resources else {}
    limits = dict(said.resources.limits) if said.resources else {}
    usual = {name: it for name, it in own.items() if name not in limits}  # or else the limit counts
    return {"requests": {**usual, **asked}, **({"limits": limits} if limits else {})}


def _volumes(blueprint: Blueprint, said: PodTemplate, worker: Worker) -> list[Json]:
    items = [{"key": name, "path": name} for name in worker.files]
    uid = blueprint.resolved.job.uid
    config = {"name": names.job_object(blueprint.job, uid), "items": items}
    return [
        {"name": _JOB, "configMap": config},
        worker.identity,
        {"name": _SCRATCH, "emptyDir": {}},
        *worker.volumes,
        *map(_volume, said.volumes),
    ]


def _volume(volume: Volume) -> Json:
    document = volume.to_document()
    for of_the_mount in ("mountPath", "subPath", "readOnly"):
        document.pop(of_the_mount, None)
    if volume.csi is not None and volume.read_only:
        document["csi"]["readOnly"] = True  # there are drivers that ask for it
    return document


def _mount(volume: Volume) -> Json:
    fields = {
        "name": volume.name,
        "mountPath": volume.mount_path,
        "subPath": volume.sub_path,
        "readOnly": volume.read_only,
    }
    return {name: value for name, value in fields.items() if value is not None}
