"""Jobs in a namespace of a real cluster that has an operator of its own: submitted, watched, waited for."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from builders import job_document
from kubectl import Document, Kubectl

SMALL = {"template": {"resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}}}
"""Requests: several islands and jobs share the one node of a test."""
CHEAP = {"evaluation": {"samples": 64, "seeds": 1, "samplerSteps": 4, "strategies": ["Full"]}}
ENSEMBLE: Mapping[str, Any] = {
    **SMALL,
    **CHEAP,
    "islands.count": 2,
    "training.steps": 200,
    "training.checkpoint.everySeconds": 1,
    "strategy.expertEnsemble.router.learned.steps": 50,
}
LONG: Mapping[str, Any] = {**ENSEMBLE, "training.steps": 20_000}


def submit(lab: Kubectl, name: str, **spec: Any) -> None:
    body = job_document(**spec)
    body["metadata"]["name"] = name
    lab.apply(body)


def job(lab: Kubectl, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.run("get", "trainingjob", name, "-o", "json"))
    return found


def until(lab: Kubectl, name: str, so: Callable[[dict[str, Any]], bool], seconds: float) -> Any:
    """Wait until the status is so; say how it is if it never gets so."""
    deadline = time.monotonic() + seconds
    while not so(status := job(lab, name).get("status") or {}):
        assert time.monotonic() < deadline, json.dumps(status, indent=1)
        time.sleep(0.2)
    return status


def in_state(state: str) -> Callable[[dict[str, Any]], bool]:
    def so(status: dict[str, Any]) -> bool:
        assert state == "Failed" or status.get("state") != "Failed", json.dumps(status, indent=1)
        return bool(status.get("state") == state)

    return so


def bound(status: Mapping[str, Any]) -> dict[str, str]:
    """Every artifact's digest, without what a cluster alone keeps."""
    return {it["name"]: it["digest"] for it in status["artifacts"] if it["name"] != "page"}


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = [it for it in status.get("conditions", ()) if it["type"] == kind]
    return found[0] if found else {}


def island(status: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    found = [it for it in status.get("islands", ()) if it["island"] == number]
    return found[0] if found else {"state": "", "step": 0, "steps": 0, "message": "", "restarts": 0}


def trains(number: int) -> Callable[[dict[str, Any]], bool]:
    """Whether an island is on its way, with a checkpoint behind it."""
    return lambda status: 0 < island(status, number)["step"] < island(status, number)["steps"]


def jobs_of(lab: Kubectl, name: str) -> dict[str, str]:
    """The Jobs of a TrainingJob, each with its uid."""
    found = json.loads(lab.run("get", "jobs", "-l", f"atoll.dev/job={name}", "-o", "json"))
    return {it["metadata"]["name"]: it["metadata"]["uid"] for it in found["items"]}


def pods_of(lab: Kubectl, name: str, number: int) -> list[Document]:
    """Those of one island of an ensemble."""
    selector = f"atoll.dev/job={name},atoll.dev/island={number}"
    found = json.loads(lab.run("get", "pods", "-l", selector, "-o", "json"))
    pods: list[Document] = found["items"]
    return pods


def runs(number: int) -> Callable[[dict[str, Any]], bool]:
    """Whether an island was heard of: a status says so at once, and of its steps now and then."""

    def so(status: dict[str, Any]) -> bool:
        assert status.get("state") != "Failed", json.dumps(status, indent=1)
        return bool(island(status, number)["state"] == "Running")

    return so
