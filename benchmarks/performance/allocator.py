"""Whether glibc's allocator, set for moving bytes, is right for a worker that also trains.

Two workers alternate: "bulk" has the setting that the local runtime gives all of its processes,
"plain" has glibc's own. Each trains (Digits, the island's own loop of step_overhead.py, and a
bare convolutional step whose activations are MiBs), publishes 512 MiB to a hub, fetches them into
new memory and into memory it has, and trains again. A figure is the median of its rounds, a
ratio the median of its rounds' ratios; every round has fresh processes. CPU and memory are the
worker's own.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hub import running

from atoll_api.names import Process, Ref
from atoll_operator.identity import Authority
from atoll_operator.local.environment import hub_environment

JOB: Final = "benchmark"
REF: Final = Ref("checkpoints/island-0/1")
COMMANDS: Final = (
    "digits",
    "convolutions",
    "publish",
    "fetch",
    "refetch",
    "digits",
    "convolutions",
)
MIB: Final = 1 << 20

Answer = dict[str, float]
Figure = dict[str, object]


class Worker:
    """The process that is measured: `main` with an order, in an environment of its own."""

    def __init__(self, environment: Mapping[str, str], order: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._write(order)

    def __call__(self, command: str) -> Answer:
        """Do one thing, and say what it took."""
        self._write(command)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker died at {command}: see above")
        answer: Answer = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _write(self, document: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()


class Work:
    """What a worker can be told to do. Torch is loaded here and not by the process that asks."""

    def __init__(self, order: dict[str, Any]) -> None:
        import step_overhead as digits  # noqa: PLC0415
        import torch  # noqa: PLC0415

        from atoll_api.spec.data import Data  # noqa: PLC0415
        from atoll_api.spec.task import DiffusionTask as Settings  # noqa: PLC0415
        from atoll_worker.data.load import load  # noqa: PLC0415
        from atoll_worker.data.part import Part  # noqa: PLC0415
        from atoll_worker.exchange.client import ExchangeClient  # noqa: PLC0415
        from atoll_worker.exchange.identity import Credentials  # noqa: PLC0415
        from atoll_worker.ports import Artifact  # noqa: PLC0415
        from atoll_worker.tasks.diffusion.task import DiffusionTask  # noqa: PLC0415

        torch.set_num_threads(1)
        pem = [order[key].encode() for key in ("certificate", "key", "authority")]
        self._client = ExchangeClient(order["address"], Credentials(Process(JOB, "island"), *pem))
        self._artifact = Artifact
        self._torch = torch
        self._digits = digits
        self._steps = order["steps"]
        shape = (8, order["size_bytes"] // 32)
        self._tensors = torch.randint(0, 2**31, shape, dtype=torch.int32)
        self._tensors[:, 0] = os.getpid()
        dataset = load(Data(source="builtin://digits"))
        self._part, self._sample = Part.of(dataset, dataset.train), dataset.sample
        self._task = DiffusionTask(Settings())
        self._net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 64, 3, padding=1),
            torch.nn.SiLU(),
            torch.nn.Conv2d(64, 64, 3, padding=1),
            torch.nn.SiLU(),
            torch.nn.Conv2d(64, 1, 3, padding=1),
        )

    def digits(self) -> None:
        """The loop of an island."""
        self._digits.atoll(self._task, self._part, self._sample, self._steps)

    def convolutions(self) -> None:
        """Steps whose activations are 3 to 12 MiB each, batches of changing size."""
        optimizer = self._torch.optim.AdamW(self._net.parameters(), fused=True)
        for step in range(max(3, self._steps // 100)):
            x_BCHW = self._torch.randn(16 * (1 + step % 4), 1, 28, 28)
            optimizer.zero_grad()
            self._net(x_BCHW).square().mean().backward()
            optimizer.step()

    def publish(self) -> None:
        """From memory to the hub."""
        self._client.publish(REF, self._artifact(dict(self._named())))

    def fetch(self) -> None:
        """Into memory that is allocated for it, and given back."""
        self._client.fetch(REF)

    def refetch(self) -> None:
        """Into memory that is there."""
        self._client.fetch(REF, dict(self._named()))

    def _named(self) -> Any:
        return ((f"t{i}", tensor) for i, tensor in enumerate(self._tensors))


def work() -> None:
    """Do what standard input says, and answer by what it took."""
    worker = Work(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts at what is there now
        before, cpu, began = _mib("VmRSS"), _cpu(), time.perf_counter()
        getattr(worker, json.loads(line))()
        answer = {
            "seconds": time.perf_counter() - began,
            "cpu": _cpu() - cpu,
            "peak": _mib("VmHWM") - before,
            "kept": _mib("VmRSS") - before,
        }
        print(json.dumps(answer), flush=True)
    os._exit(0)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _mib(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(it.split()[1]) / 1024 for it in lines if it.startswith(f"{key}:"))


def measure(rounds: int, size_bytes: int, steps: int) -> dict[str, list[list[Answer]]]:
    """What each command took each of the two workers, in every round."""
    authority = Authority(JOB, datetime.now(UTC))
    own = authority.issue(Process(JOB, "island"))
    order = {"certificate": own.certificate, "key": own.key, "authority": own.authority}
    papers: dict[str, Any] = {key: content.decode() for key, content in order.items()}
    bulk = hub_environment(os.environ)
    plain = {key: value for key, value in bulk.items() if not key.startswith("MALLOC_")}
    found: dict[str, list[list[Answer]]] = {"plain": [], "bulk": []}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        with running(authority) as one, running(authority) as two:
            papers |= {"size_bytes": size_bytes, "steps": steps}
            workers = {
                "plain": Worker(plain, papers | {"address": one.address}),
                "bulk": Worker(bulk, papers | {"address": two.address}),
            }
            try:
                alternate(workers, found, number)
            finally:
                for worker in workers.values():
                    worker.close()
    return found


def alternate(
    workers: dict[str, Worker], found: dict[str, list[list[Answer]]], number: int
) -> None:
    """All commands, each by one worker and then by the other, in an order that swaps."""
    for name, worker in workers.items():
        worker("digits")  # warms up
        worker("convolutions")
        found[name].append([])
    for place, command in enumerate(COMMANDS):
        order = list(workers) if (place + number) % 2 == 0 else list(reversed(workers))
        for name in order:
            found[name][-1].append(workers[name](command))


def results(found: dict[str, list[list[Answer]]], size_bytes: int) -> list[Figure]:
    """Ratios of training, costs of moving."""
    made = []
    for place, command in enumerate(COMMANDS):
        plain, bulk = ([it[place] for it in found[arm]] for arm in ("plain", "bulk"))
        later = "" if place < 2 else " after"
        if command in ("digits", "convolutions"):
            runs = [b["cpu"] / p["cpu"] for p, b in zip(plain, bulk, strict=True)]
            made.append(
                figure(f"{command}{later}: CPU of a step, bulk / plain", runs, "ratio", 1.03)
            )
            runs = [b["seconds"] / p["seconds"] for p, b in zip(plain, bulk, strict=True)]
            made.append(figure(f"{command}{later}: time of a step, bulk / plain", runs, "ratio"))
            continue
        for arm, answers in (("plain", plain), ("bulk", bulk)):
            runs = [it["cpu"] / size_bytes * 1e9 for it in answers]
            made.append(figure(f"{command}: {arm}: CPU", runs, "s/GB"))
            made.append(figure(f"{command}: {arm}: peak", [it["peak"] for it in answers], "MiB"))
            made.append(figure(f"{command}: {arm}: kept", [it["kept"] for it in answers], "MiB"))
    return made


def figure(name: str, runs: list[float], unit: str, target: float | None = None) -> Figure:
    """The median of its rounds, with whether its target is met."""
    value = statistics.median(runs)
    return {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "target": target,
        "met": None if target is None else value <= target,
        "runs": [round(run, 4) for run in runs],
    }


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 MiB, short training, 2 rounds")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work()
    size_bytes = (64 if options.quick else 512) * MIB
    rounds, steps = (2, 300) if options.quick else (5, 1000)
    found = results(measure(rounds, size_bytes, steps), size_bytes)
    for one in found:
        met = "" if one["met"] is None else ("  met" if one["met"] else "  MISSED")
        target = "" if one["target"] is None else f"  target <= {one['target']}"
        print(f"{one['name']:48} {one['value']:>10} {one['unit']}{target}{met}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
