"""From what is seen of a job's objects to children of the plan. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from atoll_api.names import Ref, StepName
from atoll_api.spec import TrainingJobSpec
from atoll_api.status import TrainingJobStatus
from atoll_operator.kubernetes.manifests.jobs import shares_one_job
from atoll_operator.kubernetes.projection import JobFacts, PodFacts, SetFacts, indexes
from atoll_operator.plan.model import Binding, Child, ChildState, Hub
from atoll_operator.plan.pipeline import pipeline


@dataclass(frozen=True)
class Scene:
    """The objects of one job, by name."""

    jobs: Mapping[str, JobFacts] = field(default_factory=dict)
    pods: tuple[PodFacts, ...] = ()
    hub_set: SetFacts | None = None


def children_of(scene: Scene, spec: TrainingJobSpec) -> dict[StepName, Child]:
    """The child of each step that has one."""
    found = {}
    for step in pipeline(spec):
        shared = step.island is not None and shares_one_job(spec)
        job = _job(scene, step.name, shared=shared)
        if job is None:
            continue
        index = step.island if shared else None
        pods = [p for p in scene.pods if p.job == job.name and p.index == index]
        found[step.name] = _child(job, pods, index)
    return found


def _job(scene: Scene, step: StepName, *, shared: bool) -> JobFacts | None:
    suffix = "-islands" if shared else f"-{step}"
    return next((it for name, it in scene.jobs.items() if name.endswith(suffix)), None)


def _child(job: JobFacts, pods: list[PodFacts], index: int | None) -> Child:
    pods = sorted(pods, key=lambda pod: (pod.created, pod.name))
    failed = [pod for pod in pods if pod.phase == "Failed"]
    counted = [p for p in failed if not p.disrupted and p.exit_code != 83]
    last = failed[-1] if failed else None
    code, words = (last.exit_code, last.message) if last else (None, "")
    done = job.complete if index is None else index in indexes(job.completed_indexes)
    lost = job.failed if index is None else job.failed or index in indexes(job.failed_indexes)
    restarts = len(counted)
    if job.deleting:
        return Child(ChildState.RUNNING, restarts, message="is stopping")
    if done:
        return Child(ChildState.SUCCEEDED, restarts, 0)
    if lost:
        return Child(ChildState.FAILED, max(0, restarts - 1), code, words or job.message)
    live = [pod for pod in pods if pod.phase in ("Pending", "Running")]
    if not live:
        state = ChildState.RESTARTING if failed else ChildState.STARTING
        return Child(state, restarts, code, words)
    pod = live[-1]
    if pod.phase == "Running" and pod.started is not None:
        return Child(ChildState.RUNNING, restarts, code, since=pod.started)
    return Child(ChildState.STARTING, restarts, code, pod.message or "its pod is being started")


def hub_of(scene: Scene, spec: TrainingJobSpec, *, ended: bool) -> Hub:
    """The hub's child; its address is only a mark that it serves."""
    found = scene.hub_set
    if found is None:
        return Hub()
    if found.replicas == 0 or (ended and spec.artifacts.storage.type == "EmptyDir"):
        return Hub(Child(ChildState.STOPPED))
    pods = [pod for pod in scene.pods if not pod.job and pod.name == f"{found.name}-0"]
    pod = pods[-1] if pods else None
    if pod is not None and pod.ready and not pod.deleting:
        return Hub(Child(ChildState.RUNNING, pod.restarts, since=pod.started), found.name)
    words = pod.message if pod else "its pod is being made"
    return Hub(Child(ChildState.STARTING, pod.restarts if pod else 0, message=words))


def lost_artifacts(
    hub: Hub,
    spec: TrainingJobSpec,
    previous: TrainingJobStatus | None,
    bindings: Mapping[Ref, Binding],
) -> Hub:
    """A hub whose emptyDir went with its pod has failed: what was bound is gone."""
    told = {it.name for it in previous.artifacts} if previous else set()
    gone = sorted(told - set(bindings))
    if spec.artifacts.storage.type != "EmptyDir" or not gone or hub.child is None:
        return hub
    words = (
        f"its pod was replaced, and with its emptyDir {gone[0]} and {len(gone) - 1} more artifacts "
        "are lost: say artifacts.storage: {type: PersistentVolumeClaim}"
    )
    return Hub(replace(hub.child, state=ChildState.FAILED, message=words))
