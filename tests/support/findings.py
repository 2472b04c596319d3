"""Findings of a small job, made up."""

from typing import Any

from atoll_worker.report.document import (
    DataFacts,
    Findings,
    PartitionFacts,
    RouterBin,
    RouterFacts,
    SampleScores,
    SamplingFacts,
    Spread,
    SystemScores,
    TrainedModel,
)
from atoll_worker.report.verdict import judge


def spread(mean: float, sd: float = 0.02) -> Spread:
    return Spread(mean=mean, sd=sd, values=(mean - sd, mean + sd))


def system(name: str, frechet: float | None = None, **changes: Any) -> SystemScores:
    samples = None if frechet is None else sample_scores(frechet, changes.pop("held", frechet))
    said: dict[str, Any] = {
        "name": name,
        "settings": {},
        "parameters": 100,
        "mean_active_experts": 1.0,
        "flops_per_step": 200.0,
        "holdout_loss": 0.5,
        "samples": samples,
    }
    return SystemScores(**{**said, **changes})


def sample_scores(frechet: float, held: float) -> SampleScores:
    return SampleScores(
        frechet_train=spread(frechet),
        frechet_holdout=spread(held),
        label_variation=spread(0.05),
        part_variation=spread(0.05),
        nearest_train=spread(2.0),
    )


def island(number: int, **changes: Any) -> TrainedModel:
    said: dict[str, Any] = {
        "name": f"island {number}",
        "island": number,
        "present": True,
        "digest": "blake3:00",
        "parameters": 100,
        "steps": 10,
        "samples_seen": 640,
        "train_samples": 50,
        "initial_holdout_loss": 2.0,
        "final_holdout_loss": 0.7,
        "gate_passed": True,
        "own_part_loss": 0.7,
        "other_parts_loss": 1.1,
        "loss_curve": ((5.0, 1.5), (10.0, 0.8)),
    }
    return TrainedModel(**{**said, **changes})


def findings(**changes: Any) -> Findings:
    systems = (system("Baseline", 0.8), system("Full", 0.4))
    islands = (island(0), island(1))
    router_bin = RouterBin(
        time_low=0,
        time_high=1,
        accuracy=0.8,
        cross_entropy=0.5,
        calibration_error=0.05,
        confidence=0.82,
    )
    said: dict[str, Any] = {
        "seed": 3,
        "data": DataFacts(
            source="builtin://digits",
            digest="blake3:11",
            train_samples=100,
            holdout_samples=20,
            sample_shape=(1, 8, 8),
            class_names=("a", "b"),
            normalisation="x / 8 - 1",
        ),
        "partition": PartitionFacts(
            type="Random", assignment_hash="blake3:22", sizes=(50, 50), imbalance=1.0
        ),
        "contract": {"path": "Linear"},
        "combine": "Full",
        "systems": systems,
        "islands": islands,
        "baseline": None,
        "router": RouterFacts(digest="blake3:33", parameters=10, chance=0.5, bins=(router_bin,)),
        "sampling": SamplingFacts(
            samples=100,
            seeds=2,
            sampler="Euler",
            steps=5,
            features="32 tanh units",
            floor=0.3,
            holdout_nearest_train=2.0,
        ),
        "verdict": judge(systems[1], systems[0], islands),
        "parents": {"experts/0": "blake3:44"},
    }
    return Findings(**{**said, **changes})
