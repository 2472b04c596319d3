"""Makes what a plan says happen to one job on a real cluster."""

import json
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cluster_machine import Machine
from cluster_plans import ClusterFault
from kubectl import Document, Kubectl
from lab import job

from atoll_api import names

OPERATOR = "atoll-operator"
_PATIENCE_SECONDS = 240.0


@dataclass
class Stage:
    """One job, and whoever works on it."""

    lab: Kubectl
    machine: Machine
    name: str
    struck: list[str] = field(default_factory=list)

    def status(self) -> Mapping[str, Any]:
        """The one written last; what an API server that is away said before."""
        found: Mapping[str, Any] = job(self.lab, self.name).get("status") or {}
        return found

    def play(self, fault: ClusterFault) -> None:
        """Wait for its moment, and have it happen; a moment that is past is now."""
        self._wait_for(fault.phase)
        time.sleep(fault.after)
        happened = self._happen(fault)
        self.struck.append(f"{fault}: {happened}")

    def _wait_for(self, phase: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._begun(phase, self.status()):
            assert time.monotonic() < deadline, json.dumps(self.status(), indent=1)
            time.sleep(0.2)

    def _begun(self, phase: str, status: Mapping[str, Any]) -> bool:
        if status.get("state") in ("Complete", "Failed"):
            return True
        bound = {it["name"] for it in status.get("artifacts", ())}
        steps = [(it["step"], it["steps"]) for it in status.get("islands", ())]
        match phase:
            case "starting":
                return bool(status)
            case "dividing":
                return bool(self._pods("partition")) or names.ASSIGNMENT_REF in bound
            case "training":
                return any(step > 0 for step, _ in steps)
            case "late":
                return any(0 < total <= 1.5 * step for step, total in steps)
            case _:
                return bool(self._pods("evaluate"))

    def _happen(self, fault: ClusterFault) -> str:  # noqa: PLR0911 - one a kind
        match fault.kind:
            case "kill":
                return self._signal(fault.target, signal.SIGKILL)
            case "stop":
                return self._stop(fault)
            case "delete-pod":
                return self._delete(self._pods(fault.target)[:1])
            case "delete-job":
                return self._remove("job", f"{self.name}-{fault.target}")
            case "suspend":
                return self._suspend(fault.seconds)
            case "rob":
                return self._remove("lease", OPERATOR)
            case _:
                return f"away for {self.machine.restart_api_server():.1f} s"

    def _signal(self, target: str, number: signal.Signals) -> str:
        pids = self._processes(target)
        self.machine.signal(pids, number)
        return f"{len(pids)} processes" if pids else "nobody was there"

    def _stop(self, fault: ClusterFault) -> str:
        pids = self._processes(fault.target)
        with _stopped(self.machine, pids):
            time.sleep(fault.seconds)
        return f"{len(pids)} processes" if pids else "nobody was there"

    def _suspend(self, seconds: float) -> str:
        for wanted in (True, False):
            body = json.dumps({"spec": {"suspend": wanted}})
            self.lab.run("patch", "trainingjob", self.name, "--type=merge", "-p", body)
            if wanted:
                time.sleep(seconds)
        return "and resumed"

    def _remove(self, kind: str, name: str) -> str:
        self.lab.tried("delete", kind, name, "--wait=false")
        return name

    def _delete(self, pods: list[Document]) -> str:
        for pod in pods:
            name = pod["metadata"]["name"]
            self.lab.tried("delete", "pod", name, "--force", "--grace-period=0", "--wait=false")
            return str(name)
        return "nobody was there"

    def _processes(self, target: str) -> list[int]:
        program = "atoll_operator" if target == "operator" else "atoll_worker"
        found = []
        for pod in self._pods(target):
            found += self.machine.processes_of(pod["metadata"]["uid"], program)
        return found

    def _pods(self, target: str) -> list[Document]:
        """Of a step of this job, or the operator that leads."""
        if target == "operator":
            lease = json.loads(self.lab.run("get", "lease", OPERATOR, "-o", "json"))
            holder = str(lease["spec"].get("holderIdentity") or "").partition("_")[0]
            return [
                it for it in self._listed("app.kubernetes.io/component=operator") if _is(it, holder)
            ]
        return [
            it
            for it in self._listed(f"atoll.dev/job={self.name}")
            if _step_of(it, self.name) == target and it["status"]["phase"] in ("Pending", "Running")
        ]

    def _listed(self, selector: str) -> list[Document]:
        found: list[Document] = json.loads(
            self.lab.run("get", "pods", "-l", selector, "-o", "json")
        )["items"]
        return found


def _is(pod: Document, name: str) -> bool:
    return bool(pod["metadata"]["name"] == name)


def _step_of(pod: Document, job_name: str) -> str:
    """`island-1` of one in an indexed Job too."""
    labels = pod["metadata"]["labels"]
    index = labels.get("batch.kubernetes.io/job-completion-index", labels.get("atoll.dev/island"))
    role = labels.get("atoll.dev/role", "")
    if role == "island":
        return f"island-{index}"
    return str(role or pod["metadata"]["name"].removeprefix(f"{job_name}-"))


@contextmanager
def _stopped(machine: Machine, pids: list[int]) -> Iterator[None]:
    machine.signal(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            try:
                machine.signal([pid], signal.SIGCONT)
            except ProcessLookupError:
                continue
