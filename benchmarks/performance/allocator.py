"""Whether glibc's allocator, set for moving bytes, is right for a worker that also trains.

Two workers alternate: "bulk" has the setting that the local runtime gives all of its processes,
"plain" has glibc's own. Each trains (Digits, the island's own loop of step_overhead.py, and a
bare convolutional step whose activations are MiBs), publishes 512 MiB to a hub, fetches them into
new memory and into memory it has, and trains again. Every round has fresh processes, and CPU and
memory are the worker's own.

Rounds go by pairs, in the second of which the other worker does each thing first: on a virtual
machine whoever first takes memory that was free pays for the host, which has to back it, and that
can double what a fetch takes. A figure is the median of its pairs, each the mean of its two rounds;
a ratio is one of such means.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

from commands import Answer, Commanded, obey
from costs import measured
from figures import Figure, Target, median, parser, say, tell
from hub import running
from papers import credentials, new_authority, paper

from atoll_api.names import Ref
from atoll_operator.local.environment import hub_environment

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
        from atoll_worker.ports import Artifact  # noqa: PLC0415
        from atoll_worker.tasks.diffusion.task import DiffusionTask  # noqa: PLC0415

        torch.set_num_threads(1)
        self._client = ExchangeClient(order["address"], credentials(order["paper"]))
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

    def do(self, command: str) -> Answer:
        """One thing, and what it took."""
        return measured(getattr(self, command))

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


def measure(rounds: int, size_bytes: int, steps: int) -> dict[str, list[list[Answer]]]:
    """What each command took each of the two workers, in every round."""
    authority = new_authority()
    order = {"paper": paper(authority, "island"), "size_bytes": size_bytes, "steps": steps}
    bulk = hub_environment(os.environ)
    plain = {key: value for key, value in bulk.items() if not key.startswith("MALLOC_")}
    found: dict[str, list[list[Answer]]] = {"plain": [], "bulk": []}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        with ExitStack() as stack:
            workers = {}
            for name, environment in (("plain", plain), ("bulk", bulk)):
                hub = stack.enter_context(running(authority))
                workers[name] = Commanded("allocator.py", "--worker", environment=environment)
                stack.callback(workers[name].close)
                workers[name].write(order | {"address": hub.address})
            alternate(workers, found, number)
    return found


def alternate(
    workers: dict[str, Commanded], found: Mapping[str, list[list[Answer]]], number: int
) -> None:
    """All commands, each by one worker and then by the other, in an order that swaps."""
    for name, worker in workers.items():
        worker("do", "digits")  # warms up
        worker("do", "convolutions")
        found[name].append([])
    for place, command in enumerate(COMMANDS):
        order = list(workers) if (place + number) % 2 == 0 else list(reversed(workers))
        for name in order:
            found[name][-1].append(workers[name]("do", command))


def results(found: Mapping[str, list[list[Answer]]], size_bytes: int) -> list[Figure]:
    """Ratios of training, costs of moving."""
    made = []
    for place, command in enumerate(COMMANDS):
        plain, bulk = (paired([it[place] for it in found[arm]]) for arm in ("plain", "bulk"))
        if command in ("digits", "convolutions"):
            name = command if place < 2 else f"{command} after"
            made += training(name, plain, bulk)
        else:
            made += moving(f"{command}: plain", plain, size_bytes)
            made += moving(f"{command}: bulk", bulk, size_bytes)
    return made


def paired(rounds: Sequence[Answer]) -> list[Answer]:
    """Means of every two rounds: the first of one was the second of the other."""
    return [
        {key: (one[key] + other[key]) / 2 for key in one}
        for one, other in zip(rounds[::2], rounds[1::2], strict=True)
    ]


def training(name: str, plain: Sequence[Answer], bulk: Sequence[Answer]) -> list[Figure]:
    """What a step takes with the setting, in parts of what it takes without."""
    ratios = {
        key: [b[key] / p[key] for p, b in zip(plain, bulk, strict=True)] for key in ("cpu", "wall")
    }
    return [
        median(f"{name}: CPU of a step, bulk / plain", ratios["cpu"], "ratio", Target(1.03)),
        median(f"{name}: time of a step, bulk / plain", ratios["wall"], "ratio"),
    ]


def moving(name: str, answers: Sequence[Answer], size_bytes: int) -> list[Figure]:
    """What an artifact takes."""
    return [
        median(f"{name}: CPU", [it["cpu"] / size_bytes * 1e9 for it in answers], "s/GB"),
        median(f"{name}: peak", [it["growth"] / MIB for it in answers], "MiB"),
        median(f"{name}: kept", [it["kept"] / MIB for it in answers], "MiB"),
    ]


def main() -> None:
    """Measure, print, and write JSON where asked; or be one of the workers."""
    asked = parser(__doc__, "64 MiB, short training, 2 rounds")
    asked.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.worker:
        obey(Work(json.loads(sys.stdin.readline())))
        os._exit(0)  # no thread of gRPC's may keep it
    size_bytes = (64 if options.quick else 512) * MIB
    rounds, steps = (2, 300) if options.quick else (6, 1000)
    found = results(measure(rounds, size_bytes, steps), size_bytes)
    tell(found, options.json)


if __name__ == "__main__":
    main()
