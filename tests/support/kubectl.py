"""A namespace of a cluster, asked through kubectl as a user would."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
RESTRICTED: Document = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True)
class Kubectl:
    """What tests do in one namespace."""

    program: str
    kubeconfig: str
    namespace: str

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """What a command prints; a failed one fails the test with what it said."""
        done = self.tried(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def tried(
        self, *arguments: str, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """A command that may fail."""
        where = (f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}")
        return subprocess.run(
            [self.program, *where, *arguments],
            input=stdin,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )

    def apply(self, *documents: Document) -> None:
        """Make these objects."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self.run("apply", "-f", "-", stdin=json.dumps(items))

    def pod(self, name: str) -> Document:
        """A pod as the API server has it."""
        found: Document = json.loads(self.run("get", "pod", name, "-o", "json"))
        return found

    def until(self, name: str, wanted: Callable[[Document], bool], seconds: float = 60) -> Document:
        """Wait until a pod is so; say how it is if it never gets so."""
        deadline = time.monotonic() + seconds
        while not wanted(pod := self.pod(name)):
            assert time.monotonic() < deadline, json.dumps(pod["status"], indent=1)
            time.sleep(0.2)
        return pod

    def ended(self, name: str, seconds: float = 60) -> tuple[int, str]:
        """Wait for the end of a pod of one container: its exit code, and its log."""
        pod = self.until(name, lambda one: phase(one) in ("Succeeded", "Failed"), seconds)
        state = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        return int(state["exitCode"]), self.run("logs", name)


def phase(pod: Document) -> str:
    """How far it is."""
    return str(pod["status"]["phase"])


def is_ready(pod: Document) -> bool:
    """Its containers run."""
    statuses = pod["status"].get("containerStatuses", [])
    return bool(statuses) and all(one["ready"] for one in statuses)


def waiting_reason(pod: Document) -> str:
    """Why its container does not start."""
    statuses = pod["status"].get("containerStatuses", [{}])
    return str(statuses[0].get("state", {}).get("waiting", {}).get("reason", ""))


def python_pod(name: str, image: str, code: str, **container: Any) -> Document:
    """A pod that runs a piece of Python, as restricted as a pod can be."""
    scratch = {"name": "tmp", "mountPath": "/tmp"}
    mounts = [scratch, *container.pop("volumeMounts", [])]
    volumes = [{"name": "tmp", "emptyDir": {}}, *container.pop("volumes", [])]
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"fsGroup": 65532},
        "volumes": volumes,
        "containers": [
            {
                "name": "main",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python", "-c", code],
                "securityContext": RESTRICTED,
                "volumeMounts": mounts,
                **container,
            }
        ],
    }
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
