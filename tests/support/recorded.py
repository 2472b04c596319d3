"""Jobs, StatefulSets and their pods as Kubernetes 1.34 showed them, recorded from a real one.

Of each what is read, and what stands beside it; names of hosts are changed.
"""

import json
from pathlib import Path
from typing import Any

from atoll_operator.kubernetes.projection import (
    SeenHub,
    SeenJob,
    SeenPod,
    project_hub,
    project_job,
    project_pod,
)

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recorded_children.json").read_text()
)


def job(name: str) -> SeenJob:
    seen = project_job(RECORDED[name]["owner"])
    assert seen is not None
    return seen


def hub(name: str) -> SeenHub:
    seen = project_hub(RECORDED[name]["owner"])
    assert seen is not None
    return seen


def pods(name: str) -> list[SeenPod]:
    seen = [project_pod(it) for it in RECORDED[name]["pods"]]
    return [it for it in seen if it is not None]
