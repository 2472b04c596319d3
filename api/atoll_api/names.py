"""Every name that two processes must agree on, built here and nowhere else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NewType

GROUP = "atoll.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TrainingJob"
PLURAL = "trainingjobs"
SINGULAR = "trainingjob"
SHORT_NAME = "tj"
APP = "atoll"
MANAGER = "atoll-operator"
MANAGED_BY = f"{GROUP}/operator"
"""This operator, in `spec.managedBy`."""

JOB_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""DNS-1035: a job's name becomes a part of Service names."""
JOB_NAME_MAX_LENGTH = 40

ENV_LIFELINE = "ATOLL_LIFELINE"
"""Set to 1 for a child process whose standard input is held open by its supervisor: the
child ends when that closes."""
ENV_DEVICE = "ATOLL_DEVICE"
"""Where a process trains: `cpu`, `cuda`, or nothing for a GPU if there is one."""

Ref = NewType("Ref", str)
"""The readable name of an artifact, bound once."""

StepName = NewType("StepName", str)
"""The name of one step of a job; also its log's and its child process's name."""

Role = Literal["hub", "partition", "seed", "island", "baseline", "router", "merge", "evaluate"]
"""What a process of a job can be."""

HUB = StepName("hub")
"""No step of the pipeline, but a process with an order, a log and a name."""
PARTITION = StepName("partition")
SEED = StepName("seed")
ROUTER = StepName("router")
BASELINE = StepName("baseline")
MERGE = StepName("merge")
EVALUATE = StepName("evaluate")

ASSIGNMENT_REF = Ref("assignment")
"""Which island owns which sample: the router's labels."""
INIT_REF = Ref("init")
"""The initialization that all islands share: the base of what they publish as a Delta."""
SEED_REF = Ref("seed")
"""The model from which all experts and the baseline go on, where a job asks for one."""
CLUSTERS_REF = Ref("clusters")
"""What places a text: vocabulary, components and the centre of each part."""
ROUTER_REF = Ref("router")
BASELINE_REF = Ref("baseline")
MEAN_REF = Ref("mean")
"""The mean of the islands' last weights, for islands to measure norm statistics with."""
MERGED_REF = Ref("merged")
"""The one model that a strategy which merges ends with."""
REPORT_REF = Ref("report")
PAGE_REF = Ref("page")
"""The files of the report, of a job whose folders nobody can open."""

ISLAND = "island"
"""Role of whoever trains an expert."""
OPERATOR = "operator"
"""Role of whoever runs the plan: no step and no work order, but a certificate."""
CLI = "cli"
"""Role of `atoll pull` and `atoll sample`."""

HUB_PORT = 7443
ISLAND_PORT = 7444
"""Of an island that serves its neighbours, on a cluster."""
METRICS_PORT = 9464
"""Plain HTTP: health and metrics of any process on a cluster."""

LABEL_JOB = f"{GROUP}/job"
LABEL_ROLE = f"{GROUP}/role"
LABEL_ISLAND = f"{GROUP}/island"
"""Not on pods of an Indexed Job: see LABEL_COMPLETION_INDEX."""
LABEL_COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
"""Kubernetes' own: which island a pod of an Indexed Job is. A label and an annotation."""
QUEUE_DOMAIN = "kueue.x-k8s.io"
"""Labels of a TrainingJob in it are passed on to its Jobs."""
QUEUE_LABEL = f"{QUEUE_DOMAIN}/queue-name"
_RESERVED_DOMAINS = frozenset(
    [
        "app.kubernetes.io",
        "apps.kubernetes.io",
        "batch.kubernetes.io",
        "statefulset.kubernetes.io",
    ]
)
_RESERVED_KEYS = frozenset({"controller-uid", "job-name"})

ENV_STEP = "ATOLL_STEP"
"""On a cluster: which step the process is."""
ENV_NAMESPACE = "ATOLL_NAMESPACE"
"""On a cluster: where its job is, for its logs and traces."""
ENV_COMPLETION_INDEX = "JOB_COMPLETION_INDEX"
"""Kubernetes' own: which pod of an Indexed Job the process is."""
RESERVED_ENV_PREFIX = "ATOLL_"
RESERVED_VOLUME_PREFIX = "atoll-"
CERTIFICATES_A_SECRET = 500
"""So many certificates and keys stay below the size of an object."""

CERTIFICATE_COMMON_NAME = "atoll"
"""The same for all: a gRPC client falls back to it where a DNS name is missing."""

_STEP = "|".join((PARTITION, SEED, ROUTER, BASELINE, MERGE, EVALUATE, rf"{ISLAND}-\d+"))
_OBJECT = re.compile(rf"(?P<job>.+)-(?:{HUB}|{ISLAND}s|{_STEP})")
_POD = re.compile(rf"(?P<job>.+)-(?:{HUB}-0|(?:{ISLAND}s-\d+|{_STEP})-[a-z0-9]{{5}})")
_CHECKPOINT = re.compile(r"^checkpoints/(?P<step>[a-z0-9-]+)/(?P<number>\d+)$")

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_ROLE = re.compile(r"[a-z]{1,32}")
_PROCESS_URI = re.compile(
    rf"atoll://(?P<uid>{_LABEL})/(?P<role>[a-z]{{1,32}})/(?P<index>0|[1-9][0-9]{{0,8}})"
)


@dataclass(frozen=True)
class Process:
    """Who a process is: the one name in its certificate."""

    job_uid: str
    """Letters, digits and hyphens: a label of a DNS name."""
    role: str
    index: int = 0
    """Which island; 0 for every other role."""

    @property
    def uri(self) -> str:
        """The URI in its certificate; `parse_process_uri` reads it."""
        return f"atoll://{self.job_uid}/{self.role}/{self.index}"

    @property
    def host(self) -> str:
        """The DNS name in its certificate. Nobody resolves it: clients compare it."""
        return f"{self.role}-{self.index}.{self.job_uid}.atoll.internal"

    @property
    def step(self) -> StepName:
        """The name of its step, order and log; all that a person needs to know it by."""
        return island_step(self.index) if self.role == ISLAND else StepName(self.role)


def process_of_step(job_uid: str, step: str) -> Process | None:
    """Whose step that is; None for a text that is no step's name."""
    role, _, index = step.partition("-")
    found = Process(job_uid, role, int(index)) if index.isdecimal() else Process(job_uid, step)
    return found if found.step == step and _ROLE.fullmatch(found.role) else None


def parse_process_uri(uri: str) -> Process | None:
    """Who the URI of a certificate names; None for any other text than `Process.uri` writes."""
    match = _PROCESS_URI.fullmatch(uri)
    return Process(match["uid"], match["role"], int(match["index"])) if match else None


def selector(job: str, role: Role | None = None) -> dict[str, str]:
    """Labels by which the pods of a job, or of one of its roles, are found.

    Never a version: the selectors of some kinds cannot change.
    """
    return {LABEL_JOB: job} | ({LABEL_ROLE: role} if role else {})


def labels(
    job: str, version: str, role: Role | None = None, island: int | None = None
) -> dict[str, str]:
    """The labels of an object; without a role, of one that belongs to the whole job."""
    return {
        "app.kubernetes.io/name": APP,
        "app.kubernetes.io/instance": job,
        "app.kubernetes.io/component": role or "job",
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/version": re.sub(r"[^-_.A-Za-z0-9]", "_", version)[:63].strip("-_."),
        **selector(job, role),
        **({} if island is None else {LABEL_ISLAND: str(island)}),
    }


def queue_labels(given: Mapping[str, str]) -> dict[str, str]:
    """The labels of a TrainingJob that are passed on to its Jobs, for a queue to admit each.

    None where the job as a whole is admitted already: it came from another cluster with a
    workload of its own, and a queue would take every Job for that one.
    """
    if f"{QUEUE_DOMAIN}/prebuilt-workload-name" in given:
        return {}
    return {key: it for key, it in given.items() if key.startswith(f"{QUEUE_DOMAIN}/")}


def is_reserved_key(key: str) -> bool:
    """Whether Atoll or Kubernetes itself sets this label or annotation of a pod."""
    domain, slash, _ = key.partition("/")
    own = domain == GROUP or domain.endswith(f".{GROUP}")
    return key in _RESERVED_KEYS or (bool(slash) and (own or domain in _RESERVED_DOMAINS))


def job_object(job: str, uid: str) -> str:
    """The ConfigMap of a job.

    With the uid: a kubelet does not read an immutable object again that it holds by its name, and a
    pod of an earlier job of this name may hold it still.
    """
    return f"{job}-job-{uid[:8]}"


def policy_object(job: str) -> str:
    """The NetworkPolicy of all pods of a job."""
    return f"{job}-job"


def hub_object(job: str) -> str:
    """The hub's StatefulSet, Service and claim."""
    return f"{job}-hub"


def islands_object(job: str) -> str:
    """The one Job of all islands of a strategy that merges, and their Service."""
    return f"{job}-islands"


def step_object(job: str, step: StepName) -> str:
    """The Job of one step."""
    return f"{job}-{step}"


def job_of_object(name: str) -> str | None:
    """Whose hub, hub's claim, step or islands an object of that name would be."""
    found = _OBJECT.fullmatch(name)
    return found["job"] if found else None


def job_of_pod(name: str) -> str | None:
    """Whose pod one of that name would be, as Kubernetes calls those of such objects."""
    found = _POD.fullmatch(name)
    return found["job"] if found else None


def identity_object(job: str, fingerprint: str, shard: int) -> str:
    """A Secret of certificates."""
    return f"{job}-identity-{fingerprint}-{shard}"


def job_prefix(prefix: str, name: str, uid: str) -> str:
    """Where in a bucket one job keeps its objects: below the prefix that its user chose."""
    return "/".join(filter(None, (prefix.strip("/"), f"{name}-{uid}")))


def island_step(island: int) -> StepName:
    """The step that trains one island."""
    return StepName(f"island-{island}")


def island_assignment_ref(island: int) -> Ref:
    """The samples of one island, and no other's."""
    return Ref(f"assignment/{island}")


def expert_ref(island: int) -> Ref:
    """The finished expert of one island."""
    return Ref(f"experts/{island}")


def snapshot_ref(island: int, round_number: int) -> Ref:
    """The weights of one island after a round, for its neighbours."""
    return Ref(f"islands/{island}/rounds/{round_number}")


def record_ref(island: int, round_number: int) -> Ref:
    """Says whose weights an island has merged in a round, once that can no longer be lost."""
    return Ref(f"islands/{island}/merges/{round_number}")


def final_ref(island: int) -> Ref:
    """The last weights of one island."""
    return Ref(f"islands/{island}/final")


def statistics_ref(island: int) -> Ref:
    """Norm statistics of the mean, on one island's data."""
    return Ref(f"islands/{island}/statistics")


def lost_ref(island: int) -> Ref:
    """Bound, to nothing, once an island is given up: nobody waits for it any more."""
    return Ref(f"islands/{island}/lost")


def mergeability_ref(round_number: int) -> Ref:
    """How well the islands would merge after a round."""
    return Ref(f"mergeability/{round_number}")


def checkpoint_ref(step: StepName, number: int) -> Ref:
    """What `step` needs to resume after its training step `number`."""
    return Ref(f"checkpoints/{step}/{number}")


def parse_checkpoint_ref(ref: str) -> tuple[StepName, int] | None:
    """The (step, training step) of a checkpoint's ref; None for any other ref."""
    match = _CHECKPOINT.match(ref)
    return (StepName(match["step"]), int(match["number"])) if match else None
