"""From what is seen of a job's objects to what the plan looks at. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from atoll_api import names
from atoll_api.names import Ref, StepName
from atoll_api.spec import TrainingJobSpec
from atoll_api.status import TrainingJobStatus
from atoll_operator.kubernetes.children import (
    Troubles,
    child_of,
    children_of_islands,
    hub_child,
)
from atoll_operator.kubernetes.manifests.jobs import shares_one_job
from atoll_operator.kubernetes.projection import SeenHub, SeenJob, SeenPod
from atoll_operator.plan.model import LIVE_STATES, Binding, Child, ChildState, Hub
from atoll_operator.plan.pipeline import pipeline


@dataclass(frozen=True)
class Scene:
    """The objects of one job.

    Attributes:
        name: of the job.
        jobs: by their names.
        pods: of those and of the hub.
        hub: its StatefulSet, if it is there.
        troubles: what events say beyond any status, by the name of a Job, a pod or the hub.
    """

    name: str
    jobs: Mapping[str, SeenJob] = field(default_factory=dict)
    pods: Iterable[SeenPod] = ()
    hub: SeenHub | None = None
    troubles: Troubles = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of this job has been started."""
        return self.hub is None and not self.jobs


def children_of(scene: Scene, spec: TrainingJobSpec) -> dict[StepName, Child]:
    """The child of each step that has one."""
    pods = _by_owner(scene.pods)
    shared = scene.jobs.get(names.islands_object(scene.name)) if shares_one_job(spec) else None
    told = scene.troubles
    islands = children_of_islands(shared, pods[shared.uid], told) if shared else {}
    found: dict[StepName, Child] = {}
    for step in pipeline(spec):
        if step.island is not None and shares_one_job(spec):
            child = islands.get(step.island)
        else:
            job = scene.jobs.get(names.step_object(scene.name, step.name))
            child = child_of(job, pods[job.uid], told) if job else None
        if child is not None:
            found[step.name] = child
    return found


def hub_of(scene: Scene, *, ended: bool) -> Hub:
    """The hub's child; an address, of no meaning, once it is ready to be asked.

    After the end of the job it stays for a while, to be read from, and is none that has to be
    stopped.
    """
    if scene.hub is None:
        return Hub()
    pods = _by_owner(scene.pods)[scene.hub.uid]
    child = hub_child(scene.hub, pods, scene.troubles)
    if ended:
        return Hub(Child(ChildState.STOPPED))
    serves = any(pod.ready and not pod.deleting and not pod.ended for pod in pods)
    live = child is not None and child.state in LIVE_STATES
    return Hub(child, scene.hub.name if serves and live else None)


def hub_has_failed(scene: Scene) -> bool:
    """Whether a hub that stays is of no use to anybody: its pod would be started for ever."""
    if scene.hub is None:
        return False
    child = hub_child(scene.hub, _by_owner(scene.pods)[scene.hub.uid])
    return child is not None and child.state in (ChildState.FAILED, ChildState.RESTARTING)


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
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    words = (
        f"its pod was replaced, and with its emptyDir went {gone[0]}{more}: say artifacts: "
        "{storage: {type: PersistentVolumeClaim, ...}}"
    )
    return Hub(replace(hub.child, state=ChildState.FAILED, exit_code=None, message=words))


def _by_owner(pods: Iterable[SeenPod]) -> Mapping[str, list[SeenPod]]:
    found: defaultdict[str, list[SeenPod]] = defaultdict(list)
    for pod in pods:
        found[pod.owner_uid].append(pod)
    return found
