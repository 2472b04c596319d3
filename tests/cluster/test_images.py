"""Our images as pods start them: restricted, on a read-only root filesystem."""

from typing import Any

import pytest
from kubectl import Document, Kubectl, python_pod

from atoll_api.exit_codes import ExitCode

TRAIN = """
import torch, atoll_worker.roles.island, atoll_worker.roles.evaluate
model = torch.nn.Linear(4, 4)
optimizer = torch.optim.AdamW(model.parameters(), fused=True)
model(torch.ones(2, 4)).sum().backward()
optimizer.step()
torch.linalg.svd(torch.eye(3))
print("trained")
"""
HUB = """
import sys
import atoll_worker.roles.hub
print(sorted({"torch", "numpy"} & set(sys.modules)))
"""
OPERATOR = """
import importlib.util, os
import atoll_operator.reconcile, atoll_operator.progress, atoll_operator.identity
print(os.getuid(), importlib.util.find_spec("torch"), importlib.util.find_spec("atoll_worker"))
"""
COMPILED = """
import importlib.util, pathlib
files = list(pathlib.Path("/app").rglob("*.py"))
print(len(files) > 20, all(pathlib.Path(importlib.util.cache_from_source(f)).exists() for f in files))
"""


def entered(name: str, image: str, *arguments: str) -> Document:
    """A pod that starts what the image starts."""
    pod = python_pod(name, image, "")
    container: dict[str, Any] = pod["spec"]["containers"][0]
    del container["command"]
    container["args"] = list(arguments)
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    return pod


@pytest.mark.smoke
def test_the_worker_trains(kubectl: Kubectl, worker_image: str) -> None:
    kubectl.apply(python_pod("trains", worker_image, TRAIN))
    code, log = kubectl.ended("trains", seconds=120)
    assert (code, log.splitlines()[-1]) == (0, "trained")  # torch may warn that it has no triton


def test_the_hub_starts_without_torch(kubectl: Kubectl, worker_image: str) -> None:
    kubectl.apply(python_pod("hub", worker_image, HUB))
    assert kubectl.ended("hub") == (0, "[]\n")


def test_the_worker_starts_from_the_path_of_an_order(kubectl: Kubectl, worker_image: str) -> None:
    kubectl.apply(entered("lost", worker_image, "/tmp/order.json"))
    code, log = kubectl.ended("lost")
    assert code == ExitCode.FINAL
    assert log == (
        "atoll: worker: the work order /tmp/order.json cannot be read: No such file or directory\n"
    )
    state = kubectl.pod("lost")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert state["message"] == log


@pytest.mark.smoke
def test_the_operator_is_small_and_not_root(kubectl: Kubectl, operator_image: str) -> None:
    kubectl.apply(python_pod("operator", operator_image, OPERATOR))
    assert kubectl.ended("operator") == (0, "65532 None None\n")


def test_code_is_compiled_when_the_image_is_built(
    kubectl: Kubectl, worker_image: str, operator_image: str
) -> None:
    for name, image in (("worker", worker_image), ("operator", operator_image)):
        kubectl.apply(python_pod(name, image, COMPILED))
        assert kubectl.ended(name) == (0, "True True\n")
