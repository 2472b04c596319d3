"""Accepted jobs, as an operator has them when it builds their objects."""

from typing import Any

from builders import make_job

from atoll_api.names import Process
from atoll_api.resolved_job import ResolvedJob
from atoll_api.spec import TrainingJob
from atoll_api.work_order import JobIdentity
from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Json, Settings
from atoll_operator.kubernetes.manifests.identities import KeyPair, processes
from atoll_operator.kubernetes.manifests.job_objects import commitment, surroundings
from atoll_operator.kubernetes.manifests.jobs import islands_job, shares_one_job, step_job
from atoll_operator.plan.pipeline import pipeline

UID = "0d6bf2a5-5f0c-4c3f-9c3b-0a6f3a1b2c4d"
SETTINGS = Settings(
    version="0.1.0",
    operator_namespace="atoll-system",
    operator_labels={"app.kubernetes.io/name": "atoll", "app.kubernetes.io/component": "operator"},
    metrics_from=({"namespaceSelector": {"matchLabels": {"name": "monitoring"}}},),
    image_pull_secrets=("registry",),
)
AUTHORITY = b"-----BEGIN CERTIFICATE-----\nauthority\n-----END CERTIFICATE-----\n"
MERGING: dict[str, Any] = {
    "task": {"type": "Classification"},
    "strategy": {"type": "IterativeMerge"},
}


def accepted(job: TrainingJob, namespace: str = "lab") -> ResolvedJob:
    return ResolvedJob(
        job=JobIdentity(name=job.metadata.name, uid=UID),
        namespace=namespace,
        spec=job.spec,
        image="registry.example.org/atoll/worker@sha256:" + "0" * 64,
        fingerprint="5f0c4c3f9c3b",
    )


def blueprint(settings: Settings = SETTINGS, /, **spec: Any) -> Blueprint:
    return Blueprint(accepted(make_job(**spec)), settings)


def named(name: str, /, **spec: Any) -> Blueprint:
    job = make_job(**spec)
    metadata = job.metadata.model_copy(update={"name": name})
    return Blueprint(accepted(job.model_copy(update={"metadata": metadata})), SETTINGS)


def issued(resolved: ResolvedJob) -> dict[Process, KeyPair]:
    return {
        it: KeyPair(f"certificate of {it.step}".encode(), f"key of {it.step}".encode())
        for it in processes(resolved)
    }


def jobs(drawn: Blueprint) -> list[Json]:
    """One for each step, or for all that share one."""
    shared = shares_one_job(drawn.resolved.spec)
    steps = [it for it in pipeline(drawn.resolved.spec) if not (shared and it.role == "island")]
    return [step_job(drawn, it) for it in steps] + ([islands_job(drawn)] if shared else [])


def all_objects(drawn: Blueprint) -> list[Json]:
    """In the order in which they are written."""
    written = commitment(drawn, AUTHORITY, issued(drawn.resolved))
    return [*written, *surroundings(drawn), *jobs(drawn)]


def pod_of(document: Json) -> Json:
    """The pod's spec of a Job or StatefulSet."""
    found: Json = document["spec"]["template"]["spec"]
    return found


def container_of(document: Json) -> Json:
    (container,) = pod_of(document)["containers"]
    found: Json = container
    return found


def env_of(document: Json) -> dict[str, Any]:
    """Values, or where they come from, in their order."""
    env = container_of(document)["env"]
    return {it["name"]: it["value"] if "value" in it else it["valueFrom"] for it in env}
