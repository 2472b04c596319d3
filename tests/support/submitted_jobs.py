"""Jobs on an API server in memory, as the command line finds them."""

from datetime import UTC, datetime
from typing import Any

from builders import job_document

from atoll_api import names
from atoll_api.status import Condition, Progress, StepStatus, TrainingJobStatus
from atoll_cli.cluster.place import Place
from atoll_operator.kubernetes.accepting import accept
from atoll_operator.kubernetes.api import Json, Key
from atoll_operator.kubernetes.authority import load_authority
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.fake_server import FakeServer
from atoll_operator.kubernetes.resources import NAMESPACES, STATEFUL_SETS, TRAINING_JOBS
from atoll_operator.kubernetes.settings import OperatorSettings
from atoll_operator.kubernetes.training_jobs import view_of

LAB = Place("lab", "kind-lab")
KEY = Key("lab", "digits")
SETTINGS = OperatorSettings("worker:1", "atoll", "operator-0", {"app": "atoll"})


def lab() -> FakeApi:
    """A cluster with one namespace."""
    server = FakeServer()
    metadata = {"name": LAB.namespace}
    server.put(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return FakeApi(server)


def document(name: str = "digits", **spec: Any) -> Json:
    """As a user writes it."""
    found = job_document(**spec)
    found["metadata"]["name"] = name
    return found


def submitted(api: FakeApi, name: str = "digits", **spec: Any) -> Json:
    """A job that is there."""
    body = document(name, **spec)
    body["metadata"]["namespace"] = LAB.namespace
    return api.server.create(TRAINING_JOBS, body)


def says(api: FakeApi, status: TrainingJobStatus, name: str = "digits") -> None:
    """The operator has written this."""
    body = api.server.get(TRAINING_JOBS, Key(LAB.namespace, name))
    api.server.replace(TRAINING_JOBS, {**body, "status": status.to_document()}, "status")


async def accepted(api: FakeApi, name: str = "digits", *, ready: int = 1) -> None:
    """The operator has accepted the job, and its hub has so many replicas."""
    view = view_of(api.server.get(TRAINING_JOBS, Key(LAB.namespace, name)))
    operator = await load_authority(api, Key("atoll", "authority"), datetime.now(UTC))
    await accept(api, view.parse(), view, SETTINGS, operator)
    metadata = {"name": names.hub_object(name), "namespace": LAB.namespace}
    body = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata}
    spec = {"spec": {"replicas": 1}, "status": {"readyReplicas": ready}}
    api.server.put(STATEFUL_SETS, {**body, **spec})


def condition(kind: Any, reason: str = "Because", message: str = "of that") -> Condition:
    return Condition(
        type=kind,
        status="True",
        reason=reason,
        message=message,
        last_transition_time="2026-01-01T00:00:00Z",
    )


RUNNING = TrainingJobStatus(
    state="Running",
    islands=(StepStatus(name="island-0", island=0, state="Running", step=4, steps=8),),
    steps=(StepStatus(name="router", state="Pending", message="waits for a node"),),
    islands_ready="0/4",
    progress=Progress(percent=40, eta_seconds=90),
    conditions=(condition("Accepted"),),
)
COMPLETE = TrainingJobStatus(
    state="Complete", conditions=(condition("Complete", "Finished", "all is there"),)
)
FAILED = TrainingJobStatus(
    state="Failed",
    conditions=(condition("Failed", "IslandsLost", "island-0 broke"),),
    islands=(StepStatus(name="island-0", island=0, state="Failed", exit_code=65),),
)
