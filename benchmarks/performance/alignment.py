"""What it costs an island to align its network, beside the training of one round.

Activation matching on a probe of 128 samples of noise: both networks are asked, units compared, and
the island's weights permuted; once, at the first merge. Beside it the training of 100 steps at 64
samples, in blocks that alternate. The share is that of the round before the first merge: 400 steps,
as in benchmarks/science/dimat_digits.py; and, without a target, of a round of 100, the default, where
`EveryRound` aligns once a neighbour.
"""

import os
from dataclasses import dataclass
from typing import Any, Final

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from costs import cpu_of
from figures import Figure, Target, median, parser, tell
from torch import nn

from atoll_api.spec.data import Data
from atoll_api.spec.merging import Align
from atoll_api.spec.task import Task as TaskSpec
from atoll_api.spec.training import Optimizer
from atoll_worker.data.load import load
from atoll_worker.data.part import Part
from atoll_worker.merge.align import align
from atoll_worker.merge.probe import gaussian_probe
from atoll_worker.tasks.base import Task
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.expert import expert_loss, probe_batch
from atoll_worker.train.optimizer import make_optimizer
from atoll_worker.train.protocol_check import build_model

STEPS: Final = 100
FIRST_ROUND: Final = 400
BATCH: Final = 64
SAMPLES: Final = 128
TARGET: Final = Target(5)
DIGITS: Final = Data(source="builtin://digits")
TEXT: Final = Data(source="builtin://python-stdlib")
CASES: Final[dict[str, tuple[Data, dict[str, Any]]]] = {
    "MLP, width 64": (DIGITS, {"architecture": {"type": "MLP", "mlp": {"width": 64}}}),
    "MLP, width 512": (DIGITS, {"architecture": {"type": "MLP", "mlp": {"width": 512}}}),
    "CNN, width 16": (DIGITS, {"architecture": {"type": "CNN", "cnn": {"width": 16}}}),
    "ResNet-20": (DIGITS, {"architecture": {"type": "ResNet20"}}),
}
GPT: Final = {"architecture": {"type": "GPT", "gpt": {"context": 128}}}


@dataclass(frozen=True)
class Case:
    """A task, two networks of it that began apart, and the data of one island."""

    task: Task
    reference: nn.Module
    own: nn.Module
    part: Part

    def train(self) -> None:
        """One round."""
        optimizer = make_optimizer(self.own, Optimizer(), "fused")
        loss_of = expert_loss(self.task, self.part, BATCH)
        generator = torch.Generator().manual_seed(0)
        for _ in range(STEPS):
            loss = loss_of(self.own, generator)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    def align(self) -> None:
        """As an island does it at the first merge."""
        probe = gaussian_probe(self.task, probe_batch(self.part, SAMPLES), SAMPLES, 0)
        own = self.own.state_dict()
        found = align(self.own, self.reference.state_dict(), own, Align(), probe, 0)
        assert found.permutations
        assert found.tensors.keys() == own.keys()


def case(name: str) -> Case:
    """One of CASES, or the GPT."""
    data, settings = CASES.get(name, (TEXT, GPT))
    kind = "Classification" if name in CASES else "Language"
    spec = TaskSpec.from_document({"type": kind, kind.lower(): settings})
    task, dataset = load_task(spec), load(data, spec.context)
    reference, own = (build_model(task, dataset.sample, seed) for seed in (0, 1))
    return Case(task, reference, own, Part.of(dataset, dataset.train[:512]))


def figures(name: str, rounds: int) -> list[Figure]:
    """CPU of both, and their ratio."""
    it = case(name)
    it.align()
    it.train()
    pairs = [(cpu_of(it.align)[0], cpu_of(it.train)[0]) for _ in range(rounds)]
    shares = [100 * aligned / trained for aligned, trained in pairs]
    first = [share * STEPS / FIRST_ROUND for share in shares]
    return [
        median(f"{name}: align", [1e3 * aligned for aligned, _ in pairs], "ms"),
        median(f"{name}: a round of {STEPS} steps", [1e3 * trained for _, trained in pairs], "ms"),
        median(f"{name}: align, of a round of {FIRST_ROUND}", first, "%", TARGET),
        median(f"{name}: align, of a round of {STEPS}", shares, "%"),
    ]


def main() -> None:
    """Measure, print, and write JSON where asked."""
    chosen = parser(__doc__, "one round of the smallest network").parse_args()
    torch.set_num_threads(1)
    names = [next(iter(CASES))] if chosen.quick else [*CASES, "GPT, width 64"]
    rounds = 1 if chosen.quick else 5
    tell([one for name in names for one in figures(name, rounds)], chosen.json)


if __name__ == "__main__":
    main()
