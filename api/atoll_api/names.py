"""Every name that two processes must agree on, built here and nowhere else."""

import re
from typing import NewType

GROUP = "atoll.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TrainingJob"
PLURAL = "trainingjobs"
SINGULAR = "trainingjob"
SHORT_NAME = "tj"

JOB_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""DNS-1035: a job's name becomes a part of Service names."""
JOB_NAME_MAX_LENGTH = 40

ENV_LIFELINE = "ATOLL_LIFELINE"
"""Set to 1 for a child process whose standard input is held open by its supervisor: the
child ends when that closes."""

Ref = NewType("Ref", str)
"""The readable name of an artifact, bound once."""

StepName = NewType("StepName", str)
"""The name of one step of a job; also its log's and its child process's name."""

HUB = StepName("hub")
"""No step of the pipeline, but a process with an order, a log and a name."""
PARTITION = StepName("partition")
ROUTER = StepName("router")
BASELINE = StepName("baseline")
EVALUATE = StepName("evaluate")

ASSIGNMENT_REF = Ref("assignment")
"""Which island owns which sample: the router's labels."""
ROUTER_REF = Ref("router")
BASELINE_REF = Ref("baseline")
REPORT_REF = Ref("report")

_CHECKPOINT = re.compile(r"^checkpoints/(?P<step>[a-z0-9-]+)/(?P<number>\d+)$")


def island_step(island: int) -> StepName:
    """The step that trains one island."""
    return StepName(f"island-{island}")


def island_assignment_ref(island: int) -> Ref:
    """The samples of one island, and no other's."""
    return Ref(f"assignment/{island}")


def expert_ref(island: int) -> Ref:
    """The finished expert of one island."""
    return Ref(f"experts/{island}")


def checkpoint_ref(step: StepName, number: int) -> Ref:
    """What `step` needs to resume after its training step `number`."""
    return Ref(f"checkpoints/{step}/{number}")


def parse_checkpoint_ref(ref: str) -> tuple[StepName, int] | None:
    """The (step, training step) of a checkpoint's ref; None for any other ref."""
    match = _CHECKPOINT.match(ref)
    return (StepName(match["step"]), int(match["number"])) if match else None
