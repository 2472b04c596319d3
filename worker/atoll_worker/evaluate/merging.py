"""What a strategy that merges did, from what its processes said."""

from collections.abc import Mapping, Sequence
from typing import Any

from atoll_api import graphs, names
from atoll_api.spec.merging import IterativeMerge, SingleMerge
from atoll_api.work_order import EvaluateOrder, MergingOrder
from atoll_worker.evaluate.loading import Job, model_ref
from atoll_worker.merge.mixing import spectral_gap
from atoll_worker.report.document import IslandRounds, Mergeability, MergingFacts

_SHOWN_NOTES = 5


def merging_facts(job: Job, order: EvaluateOrder) -> MergingFacts | None:
    """How weights were exchanged; None for an ensemble."""
    if order.merging is None:
        return None
    said = job.artifacts[names.MERGED_REF].metadata
    islands = [it for it in range(order.count) if model_ref(order, it) in job.artifacts]
    return MergingFacts(
        strategy=type(order.merging.settings).__name__,
        graph=_graph(order.merging.settings),
        rounds=_rounds(order.merging.settings, _step(said)),
        spectral_gap=_gap(order.merging),
        weights=order.merging.final.weights,
        reestimated=bool(said["reestimated"]),
        mergeability=tuple(map(_point, [*job.mergeability, said])),
        islands=tuple(_island(job, order, island) for island in islands),
    )


def _graph(settings: IterativeMerge | SingleMerge) -> str:
    if isinstance(settings, IterativeMerge):
        return settings.topology.type
    return settings.gossip.graph


def _rounds(settings: IterativeMerge | SingleMerge, steps: int) -> int:
    if isinstance(settings, SingleMerge):
        return steps // settings.gossip.steps_per_round
    every = settings.steps_per_round
    return len(graphs.rounds_of(steps, settings.first_round_steps or every, every))


def _gap(merging: MergingOrder) -> float | None:
    if merging.iterative is None:
        return None
    return spectral_gap(graphs.neighbours_of(merging.iterative, merging.count))


def _point(said: Mapping[str, Any]) -> Mergeability:
    return Mergeability(
        step=_step(said),
        islands=len(said["islands"]),
        local=dict(said["local"]),
        merged=dict(said["merged"]),
        gap=said["gap"],
        consensus_distance=said["consensusDistance"],
    )


def _island(job: Job, order: EvaluateOrder, island: int) -> IslandRounds:
    said: Any = job.artifacts[model_ref(order, island)].metadata["rounds"]
    history: Sequence[Mapping[str, Any]] = said
    notes = [str(it["note"]) for it in history if "note" in it]
    return IslandRounds(
        island=island,
        merges=sum(bool(it["peers"]) for it in history),
        snapshots=sum(len(it["peers"]) for it in history),
        notes=tuple(notes[-_SHOWN_NOTES:]),
    )


def _step(said: Mapping[str, Any]) -> int:
    return int(said["step"])
