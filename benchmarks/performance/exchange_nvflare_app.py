"""The NVFlare job that benchmarks/performance/exchange_nvflare.py measures: rounds without training.

It runs in NVFlare's own environment and processes, never in Atoll's; it must import nothing of ours.
The controller takes its orders from the benchmark over a socket, so that rounds of NVFlare and of
Atoll can alternate. It neither averages nor keeps what the clients return; each client returns the
arrays that it received, altered.

    python -c 'import exchange_nvflare_app as it; it.main()' HOST:PORT FOLDER
"""

# The packages of the peer are not installed where the types are checked.
# mypy: disable-error-code="import-not-found,misc"

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.executor import Executor
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.app_common.workflows.model_controller import ModelController
from nvflare.job_config.api import FedJob
from nvflare.private.fed.app.simulator.simulator_runner import SimulatorRunner

FRESH_STRIDE = 65_536
"""One number in as many is altered from round to round, as in the other arms."""
POLL_SECONDS = 0.05
"""How often a client asks for a task, and the server looks for results; 2 s and 0.5 s by default."""


class Rounds(ModelController):
    """Plays the rounds that the benchmark asks for, until it closes the socket."""

    def __init__(self, control: str) -> None:
        super().__init__(task_check_period=POLL_SECONDS)
        self.control = control

    def run(self) -> None:
        """Take orders."""
        host, _, port = self.control.rpartition(":")
        models: dict[tuple[int, int], dict[str, Any]] = {}
        with socket.create_connection((host, int(port))) as control, control.makefile("rw") as it:
            it.write("ready\n")
            it.flush()
            for line in it:
                size, count, _ = json.loads(line)
                if (size, count) not in models:
                    models.clear()
                    models[size, count] = model(size, count)
                it.write(json.dumps({"wall": self._play(models[size, count])}) + "\n")
                it.flush()

    def _play(self, tensors: dict[str, Any]) -> float:
        """One round: a fresh model to both clients, and a fresh one back from each; seconds."""
        alter(tensors)
        began = time.perf_counter()
        sent = FLModel(params_type=ParamsType.FULL, params=tensors)
        replies = self.send_model_and_wait(data=sent, min_responses=2)
        seconds = time.perf_counter() - began
        size = sum(it.nbytes for it in tensors.values())
        for reply in replies:
            if sum(np.asarray(it).nbytes for it in reply.params.values()) != size:
                raise RuntimeError("a client returned something else than the model")
        if len(replies) != 2:
            raise RuntimeError(f"{len(replies)} of 2 clients returned the model")
        return seconds


class Client(Executor):
    """Returns the model that came, a little altered."""

    def execute(
        self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal
    ) -> Shareable:
        """Play the client's part of a round."""
        del task_name, fl_ctx, abort_signal
        received = FLModelUtils.from_shareable(shareable)
        alter(received.params)
        reply = FLModel(params_type=ParamsType.FULL, params=received.params)
        return FLModelUtils.to_shareable(reply)


def model(size_bytes: int, count: int) -> dict[str, Any]:
    """`count` arrays of float32, all different, `size_bytes` together; one number for no bytes."""
    values = np.random.default_rng(0).random(max(1, size_bytes // 4), dtype=np.float32)
    return {f"t{i}": it for i, it in enumerate(np.array_split(values, max(1, count)))}


def alter(tensors: dict[str, Any]) -> None:
    """Change one number of each 256 KiB."""
    for tensor in tensors.values():
        tensor[::FRESH_STRIDE] += 1


def main() -> None:
    """Run the job in NVFlare's simulator: the server and each client a process."""
    control, folder = sys.argv[1], Path(sys.argv[2])
    job = FedJob(name="rounds", min_clients=2)
    job.to_server(Rounds(control))
    job.to_clients(Client(), tasks=["train"])
    job.export_job(str(folder))
    for path in (folder / "rounds").rglob("config_fed_server.json"):
        document = json.loads(path.read_text())
        document["server"] = {"task_request_interval": POLL_SECONDS}
        path.write_text(json.dumps(document))
    job_folder, workspace = str(folder / "rounds"), str(folder / "workspace")
    sys.exit(SimulatorRunner(job_folder, workspace, n_clients=2, threads=2).run())
