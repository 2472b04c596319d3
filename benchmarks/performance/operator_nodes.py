"""Simulated nodes for a real cluster: KWOK answers for their pods, which run nothing."""

import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from atoll_operator.errors import AlreadyExistsError, NotFoundError
from atoll_operator.kubernetes.api import Api, Json, Key, Resource

NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False, has_status=True)
LABEL: Final = "atoll.dev/simulated"
COUNT: Final = 8
PODS_A_NODE: Final = 2000

PLACEMENT: Final[Mapping[str, Any]] = {
    "nodeSelector": {LABEL: "yes"},
    "tolerations": [{"key": LABEL, "operator": "Exists"}],
}
"""What a pod template says that wants to be simulated."""


@asynccontextmanager
async def simulated_nodes(api: Api, kwok: Path, kubeconfig: Path) -> AsyncIterator[None]:
    """Nodes for pods of `PLACEMENT`, and for no others; gone afterwards."""
    keys = [Key("", f"simulated-{number}") for number in range(COUNT)]
    for key in keys:
        with suppress(AlreadyExistsError):  # left by a run that was killed
            await api.create(NODES, _node(key.name))
    try:
        with _kwok(kwok, kubeconfig):
            yield
    finally:
        for key in keys:
            with suppress(NotFoundError):
                await api.delete(NODES, key)


@contextmanager
def _kwok(program: Path, kubeconfig: Path) -> Iterator[None]:
    command = [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--config={Path(__file__).with_name('simulated_nodes.yaml')}",
        f"--manage-nodes-with-label-selector={LABEL}=yes",
        "--node-lease-duration-seconds=40",
        "--v=ERROR",
    ]
    # It tells at length of pods that the garbage collector deleted first: read only if it fails.
    with tempfile.NamedTemporaryFile("w+", prefix="kwok-") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            failed = process.poll()
            process.terminate()
            process.wait()
            if failed is not None:
                log.seek(0)
                sys.stderr.write(f"kwok ended with {failed}: {log.read()[-2000:]}\n")


def _node(name: str) -> Json:
    capacity = {"cpu": "1000", "memory": "10Ti", "pods": str(PODS_A_NODE)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {LABEL: "yes", "kubernetes.io/os": "linux"}},
        "spec": {"taints": [{"key": LABEL, "effect": "NoSchedule"}]},
        "status": {"capacity": capacity, "allocatable": capacity},
    }
