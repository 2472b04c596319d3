"""Train the router: p(island | what an expert sees), and how far its probabilities hold.

Decentralized Diffusion Models, arXiv 2501.05450, algorithm 1. Plain cross-entropy on samples as
they come: weights by cluster would bias the shares of what is generated.
"""

from dataclasses import dataclass

import torch
from pydantic import JsonValue
from torch import Tensor, nn
from torch.nn import functional as F

from atoll_api.spec.strategy import LearnedRouter as RouterSettings
from atoll_worker import device
from atoll_worker.data.part import Part
from atoll_worker.ensemble.router import RouterNet
from atoll_worker.tasks.base import Inputs, SampleSpec, Task
from atoll_worker.train.expert import judged_inputs
from atoll_worker.train.flops import training_flops
from atoll_worker.train.loop import LossFunction
from atoll_worker.train.seeds import derive

TIME_BINS = 10
_CONFIDENCE_BINS = 10


def build_router(
    sample: SampleSpec, inputs: Inputs, count: int, settings: RouterSettings, seed: int
) -> RouterNet:
    """A new router, the same for the same seed; conditioned exactly when the experts are.

    Args:
        sample: what the dataset's samples are.
        inputs: any inputs of the task, to see whether it conditions on labels.
        count: islands.
        settings: width and depth.
        seed: of the job.
    """
    num_classes = 0 if inputs.label_B is None else sample.num_classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "router-init"))
        return RouterNet(
            SampleSpec(sample.shape, num_classes), count, settings.width, settings.depth
        )


def router_loss(task: Task, part: Part, island_N: Tensor, batch_size: int) -> LossFunction:
    """Cross-entropy of the islands of a batch, corrupted as the experts' batches are."""

    def loss_of(model: nn.Module, generator: torch.Generator) -> Tensor:
        batch, index_B = part.draw(batch_size, generator)
        inputs = device.follow(task.corrupt(batch, generator), model)
        logits_BK = model(inputs.x_BD, inputs.time_B, inputs.label_B)
        return F.cross_entropy(logits_BK, device.beside(island_N.index_select(0, index_B), model))

    return loss_of


def router_flops_per_sample(router: RouterNet, inputs: Inputs) -> int:
    """FLOPs of forward and backward of one sample; leaves gradients behind."""

    def loss() -> Tensor:
        logits_BK: Tensor = router(inputs.x_BD, inputs.time_B, inputs.label_B)
        return logits_BK.logsumexp(dim=1).mean()

    return training_flops(loss) // len(inputs.x_BD)


@dataclass(frozen=True)
class Judged:
    """A router's answers: probabilities (N, K), true islands (N,), noise levels (N,)."""

    probability_NK: Tensor
    island_N: Tensor
    time_N: Tensor


def judge(task: Task, router: nn.Module, part: Part, island_N: Tensor, seed: int) -> Judged:
    """The router's probabilities on corrupted holdout samples."""
    probabilities, islands, times = [], [], []
    router.eval()
    with device.placed(router), torch.inference_mode():
        for drawn, index_B in judged_inputs(task, part, seed):
            inputs = device.follow(drawn, router)
            logits_BK = router(inputs.x_BD, inputs.time_B, inputs.label_B)
            probabilities.append(logits_BK.cpu().double().softmax(dim=1))
            islands.append(island_N[index_B])
            times.append(drawn.time_B)
    router.train()
    return Judged(torch.cat(probabilities), torch.cat(islands), torch.cat(times))


def calibration(judged: Judged) -> dict[str, JsonValue]:
    """Accuracy, cross-entropy and ECE, in all and by noise level; empty bins are left out."""
    bin_N = (judged.time_N * TIME_BINS).long().clamp(0, TIME_BINS - 1)
    by_time: list[JsonValue] = []
    for index in range(TIME_BINS):
        own_N = bin_N == index
        if bool(own_N.any()):
            edges: dict[str, JsonValue] = {"from": index / TIME_BINS, "to": (index + 1) / TIME_BINS}
            by_time.append(edges | _scores(judged.probability_NK[own_N], judged.island_N[own_N]))
    return {**_scores(judged.probability_NK, judged.island_N), "byTime": by_time}


def _scores(probability_NK: Tensor, island_N: Tensor) -> dict[str, JsonValue]:
    confidence_N, answer_N = probability_NK.max(dim=1)
    right_N = (answer_N == island_N).double()
    own_N = probability_NK.gather(1, island_N.unsqueeze(1)).clamp_min(1e-12)
    return {
        "samples": len(island_N),
        "accuracy": float(right_N.mean()),
        "crossEntropy": float(-own_N.log().mean()),
        "meanConfidence": float(confidence_N.mean()),
        "ece": _calibration_error(confidence_N, right_N),
    }


def _calibration_error(confidence_N: Tensor, right_N: Tensor) -> float:
    """Expected calibration error (Guo et al., arXiv 1706.04599, eq. 3) in 10 bins."""
    bin_N = (confidence_N * _CONFIDENCE_BINS).long().clamp(0, _CONFIDENCE_BINS - 1)
    gaps = torch.zeros(_CONFIDENCE_BINS, dtype=torch.float64)
    gaps.index_add_(0, bin_N, right_N - confidence_N)
    return float(gaps.abs().sum() / len(right_N))
