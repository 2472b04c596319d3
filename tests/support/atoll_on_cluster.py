"""The real command in a namespace of a real cluster, as a person would type it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from builders import job_document
from kubectl import Kubectl

from atoll_api.exit_codes import ExitCode

PATIENCE_SECONDS = 300.0
SMALL: dict[str, Any] = {
    "islands.count": 2,
    "training.steps": 300,
    "strategy.expertEnsemble.router.learned.steps": 50,
    "evaluation": {"samples": 64, "seeds": 1, "samplerSteps": 4, "strategies": ["Full"]},
    "template": {"resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}},
}
"""A job of a few seconds, several of which fit on one node."""

Done = subprocess.CompletedProcess[str]
Atoll = Callable[..., Done]


def atoll_in(kubectl: Kubectl, folder: Path) -> Atoll:
    """The command, for one namespace; it runs in a folder, and nobody can be asked."""
    path = os.pathsep.join([str(Path(kubectl.program).parent), os.environ["PATH"]])
    where = (f"--kubeconfig={kubectl.kubeconfig}", f"--namespace={kubectl.namespace}")

    def run(*words: str | Path, **variables: str) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "atoll_cli", *map(str, words), *where],
            cwd=folder,
            env={**os.environ, "PATH": path, **variables},
            timeout=PATIENCE_SECONDS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def job_file(folder: Path, name: str = "digits", /, **spec: Any) -> Path:
    """A small job as YAML."""
    document = job_document(**(SMALL | spec))
    document["metadata"]["name"] = name
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(document))
    return path


def good(done: Done) -> str:
    """What a command has printed that did what it was asked."""
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    return done.stdout


def wait_for(kubectl: Kubectl, what: str, field: str, value: object) -> None:
    """Until a field of an object's status is so."""
    wanted = f"--for=jsonpath={{.status.{field}}}={value}"
    kubectl.run("wait", wanted, what, "--timeout=180s", timeout=190)
