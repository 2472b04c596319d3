"""The reasons of conditions: each with what it means and what to do, for machines and for people.

docs/troubleshooting.md is made of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from atoll_api import names
from atoll_api.names import StepName
from atoll_api.status import ConditionType

StepFailed = Literal[
    "PartitionFailed",
    "SeedFailed",
    "RouterFailed",
    "BaselineFailed",
    "MergeFailed",
    "EvaluateFailed",
]
"""A step that is no island is given up: its name, and `Failed`."""
FailedReason = Literal["Invalid", "HubLost", "QuorumLost", "DeadlineExceeded"] | StepFailed
RunningReason = Literal["Partitioning", "Training", "Merging", "Evaluating"]
PausedReason = (
    Literal["StartingHub", "Waiting", "ObjectRefused", "Stopped", "Complete"] | FailedReason
)
Reason = (
    Literal["Valid", "IslandLost", "Finished", "NoLongerSo", "Resumed"]
    | RunningReason
    | PausedReason
)
"""All of them."""

FAILED_STEPS: Final[Mapping[StepName, StepFailed]] = {
    names.PARTITION: "PartitionFailed",
    names.SEED: "SeedFailed",
    names.ROUTER: "RouterFailed",
    names.BASELINE: "BaselineFailed",
    names.MERGE: "MergeFailed",
    names.EVALUATE: "EvaluateFailed",
}

NOTHING: Final = "Nothing."


@dataclass(frozen=True)
class Explanation:
    """Of one reason of a condition."""

    type: ConditionType
    status: Literal["True", "False"]
    reason: Reason
    meaning: str
    remedy: str = NOTHING
    """What to do; in Markdown, as the meaning."""


_AGAIN: Final = "Then start it [again](#starting-a-job-again)."
_STEP: Final = (
    "The message has its exit code and last line, `atoll logs JOB STEP` the rest. Mend what they "
    f"say. {_AGAIN}"
)

EXPLANATIONS: Final[tuple[Explanation, ...]] = (
    Explanation("Accepted", "True", "Valid", "The spec has no problems. Warnings stand in the message.", "Read the warnings, if there are any: each says what to write instead."),
    Explanation("Accepted", "False", "Invalid", "The spec has problems that the API server could not see. All are in the message, each with its field and what to say instead. Nothing was started.", "Mend the file, delete the job, and submit it again: a spec cannot change. `atoll validate FILE` says the same before."),
    Explanation("Running", "True", "Partitioning", "The data are being divided; islands wait for their part."),
    Explanation("Running", "True", "Training", "Islands train; the message counts those that have finished.", "If nothing moves: `status.islands[].message` says what an island waits for."),
    Explanation("Running", "True", "Merging", "All islands are done, and their last weights become one model."),
    Explanation("Running", "True", "Evaluating", "The models are being scored."),
    Explanation("Running", "False", "StartingHub", "The hub has not answered yet, or not again; everything else waits for it. The message says what its pod waits for.", "Nothing for a minute. Then: an image that cannot be had, a claim that no storage class fills, a node with room, or an object store that the hub cannot reach (`network.egress`)."),
    Explanation("Running", "False", "Waiting", "No step works: each that could waits for something outside of the job. The message names one and what it waits for.", "A queue admits it in its turn; a node with room, an image or a claim is yours to provide. It goes on by itself."),
    Explanation("Running", "False", "ObjectRefused", "The cluster does not take an object that the job needs: a policy or an admission webhook forbids it, a quota counts it, or an object of somebody else has its name. The message has the object and the cluster's own words.", "Mend what they say, in the cluster or in the job's template. The operator tries again, at least once a minute; a template cannot change, so for that delete the job and submit it again."),
    Explanation("Running", "False", "Stopped", "The job is suspended; see `Suspended`."),
    Explanation("Running", "False", "Complete", "The job has ended; see `Complete`."),
    Explanation("Suspended", "True", "Stopped", "Nothing runs, as the user asked. Work is saved where `artifacts.storage` outlives the hub's pod.", "`atoll resume JOB`, or `spec.suspend: false`; on a laptop, run it again with the same folder."),
    Explanation("Degraded", "True", "IslandLost", "Islands are given up; the quorum holds, and the job goes on without them. The message names each, with its exit code and last line.", "See why with `atoll logs JOB island-N`. If the model needs that island, mend why, delete the job and submit it again."),
    Explanation("Complete", "True", "Finished", "All that was asked for is there, the report too.", "`atoll pull`, `atoll report`. On a cluster, before the hub goes: a day after the end, or `runPolicy.ttlSecondsAfterFinished`."),
    Explanation("Failed", "True", "Invalid", "The spec has problems; see `Accepted`.", "As there."),
    Explanation("Failed", "True", "HubLost", "The hub ended with an error that would come again, or its `emptyDir` went with its pod and took the artifacts along. The message says which.", "For a pod that was replaced: `artifacts: {storage: {type: PersistentVolumeClaim}}`, or `ObjectStore`. For exit code 74: more space, or a larger `artifacts.quota`. For a bucket: its Secret, its address, and `network.egress`."),
    Explanation("Failed", "True", "QuorumLost", "So many islands are given up that `islands.quorum` cannot be met. The message names them, with exit codes and last lines.", f"Exit code 137 is most often memory: raise `islands.template.resources.limits.memory`. Mend what the last lines say; raise `islands.maxRestarts` for nodes that come and go, or lower `islands.quorum` while it can still be met. {_AGAIN}"),
    Explanation("Failed", "True", "DeadlineExceeded", "`runPolicy.activeDeadlineSeconds` is over; what ran was stopped.", f"A later deadline, or fewer steps. {_AGAIN}"),
    Explanation("Failed", "True", "PartitionFailed", "The data could not be read or divided: a path that is not there, images of different sizes, no labels where classes are asked for, fewer samples than islands.", _STEP),
    Explanation("Failed", "True", "SeedFailed", "The model from which all experts go on was not trained.", _STEP),
    Explanation("Failed", "True", "RouterFailed", "The router was not trained.", _STEP),
    Explanation("Failed", "True", "BaselineFailed", "The model to compare with was not trained. Who asked for the comparison is told, rather than given half of it.", _STEP),
    Explanation("Failed", "True", "MergeFailed", "The islands' weights did not become one model.", _STEP),
    Explanation("Failed", "True", "EvaluateFailed", "The scores or the report could not be made. The experts, or the merged model, are there: `atoll pull` gets them while the hub stays.", _STEP),
)  # fmt: skip
"""In the order in which a job comes by them."""

PAST: Final[dict[Reason, str]] = {
    "NoLongerSo": "It was so once, and is not any more.",
    "Resumed": "It was so before the job was started again.",
}
"""Of any condition that has become False."""
