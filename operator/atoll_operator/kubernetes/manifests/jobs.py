"""The Jobs of a job: one for each step, and one Indexed Job for islands that merge.

The Job controller retries, the plan does not. Nothing here is changed later but what `JobSpec`
allows; the operator removes what has ended, so no TTL is set, and the plan keeps the deadline.
"""

from typing import Final

from atoll_api import names, resolved_job
from atoll_api.exit_codes import NOT_COUNTED, NOT_RETRIED
from atoll_api.names import StepName
from atoll_api.spec import TrainingJobSpec
from atoll_operator.kubernetes.manifests import identities
from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Json
from atoll_operator.kubernetes.manifests.pods import CONTAINER, Worker, pod_template
from atoll_operator.plan.model import Step

ISLAND_PORT_NAME: Final = "tls-exchange"


def shares_one_job(spec: TrainingJobSpec) -> bool:
    """Whether the islands need each other, and so are one Indexed Job: a queue takes all or none."""
    return spec.strategy.type != "ExpertEnsemble"


def step_job(blueprint: Blueprint, step: Step) -> Json:
    """The Job of one step; an island of an ensemble is one, so its failure restarts it alone."""
    worker = _worker(blueprint, step)
    policy = {
        "backoffLimit": blueprint.resolved.spec.islands.max_restarts,
        "podFailurePolicy": _failure_policy("FailJob"),
    }
    name = names.step_object(blueprint.job, step.name)
    return _job(blueprint, name, worker, policy)


def islands_job(blueprint: Blueprint) -> Json:
    """The one Job of all islands that merge: an index is an island, and has its own budget."""
    islands = blueprint.resolved.spec.islands
    policy = {
        "completionMode": "Indexed",
        "completions": islands.count,
        "parallelism": islands.count,
        "backoffLimitPerIndex": islands.max_restarts,
        "maxFailedIndexes": max_failed_islands(blueprint.resolved.spec),
        "podFailurePolicy": _failure_policy("FailIndex"),
    }
    return _job(blueprint, names.islands_object(blueprint.job), _islands(blueprint), policy)


def max_failed_islands(spec: TrainingJobSpec) -> int:
    """So many may be given up; with one more the Job controller ends all that still run."""
    return spec.islands.count - spec.islands.required


def islands_service(blueprint: Blueprint) -> Json:
    """Names for the pods of islands that merge.

    Headless, and for pods that are not ready too: their neighbours wait for them by themselves.
    """
    port = {
        "name": ISLAND_PORT_NAME,
        "port": names.ISLAND_PORT,
        "targetPort": ISLAND_PORT_NAME,
        "protocol": "TCP",
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": blueprint.metadata(names.islands_object(blueprint.job), "island"),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": names.selector(blueprint.job, "island"),
            "ports": [port],
        },
    }


def _job(blueprint: Blueprint, name: str, worker: Worker, policy: Json) -> Json:
    metadata = blueprint.metadata(name, worker.role, worker.island)
    metadata["labels"] |= names.queue_labels(blueprint.labels)
    template = pod_template(blueprint, worker, restart_policy="Never")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {**policy, "podReplacementPolicy": "Failed", "template": template},
    }


def _failure_policy(final: str) -> Json:
    """The first rule that fits counts: an error that is final stays so on a node that is drained."""
    return {
        "rules": [
            {"action": final, "onExitCodes": _exit_codes(NOT_RETRIED)},
            {
                "action": "Ignore",
                "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
            },
            {"action": "Ignore", "onExitCodes": _exit_codes(NOT_COUNTED)},
        ]
    }


def _exit_codes(codes: frozenset[int]) -> Json:
    return {"containerName": CONTAINER, "operator": "In", "values": sorted(map(int, codes))}


def _worker(blueprint: Blueprint, step: Step) -> Worker:
    return Worker(
        role=step.role,
        step=step.name,
        arguments=_arguments(step.name),
        files=(resolved_job.JOB_FILE, resolved_job.AUTHORITY_FILE),
        identity=identities.volume(blueprint.resolved, step.name),
        identity_mounts=identities.mounts(),
        island=step.island,
    )


def _islands(blueprint: Blueprint) -> Worker:
    step = StepName(f"{names.ISLAND}-$({names.ENV_COMPLETION_INDEX})")
    return Worker(
        role="island",
        step=step,
        arguments=_arguments(step),
        files=(resolved_job.JOB_FILE, resolved_job.AUTHORITY_FILE),
        identity=identities.volume_of_islands(blueprint.resolved),
        identity_mounts=identities.mounts_of_islands(),
        indexed=True,
        ports=((ISLAND_PORT_NAME, names.ISLAND_PORT),),
        subdomain=names.islands_object(blueprint.job),
    )


def _arguments(step: StepName) -> tuple[str, ...]:
    job = f"{resolved_job.JOB_FOLDER}/{resolved_job.JOB_FILE}"
    return ("--job", job, "--step", step)
