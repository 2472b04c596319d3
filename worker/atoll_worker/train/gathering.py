"""Gather the weights of islands: measure how they would merge, and merge them at the end.

One model at a time is in memory beside the running mean.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from atoll_api import names
from atoll_api.names import Ref
from atoll_api.work_order import MergeOrder
from atoll_worker import device
from atoll_worker.data.dataset import Dataset
from atoll_worker.data.part import Part
from atoll_worker.errors import ContractError, DisruptedError, RejectedError, UnavailableError
from atoll_worker.exchange.manifest import ABSENCE
from atoll_worker.merge.align import align
from atoll_worker.merge.mean import Accumulator
from atoll_worker.merge.mergeability import Consensus
from atoll_worker.merge.norm_statistics import norm_statistics
from atoll_worker.merge.probe import gaussian_probe
from atoll_worker.ports import Artifact, Base, Context, Onlooker, ProgressReport
from atoll_worker.tasks.base import Measured, Task
from atoll_worker.train.expert import judged_inputs, probe_batch
from atoll_worker.train.fit import require_finite_weights, require_fit
from atoll_worker.train.initial import bound_initialization, initial_model
from atoll_worker.train.merging import PATIENCE_SECONDS, SLICE_SECONDS
from atoll_worker.train.seeds import derive

_LOSS: Final = "loss"
_MOST_SAMPLES: Final = 2**40
_log = logging.getLogger(__name__)
Scores = dict[str, float]
"""Means over the holdout, by name: `loss`, and what else the task measures."""
ShareOf = Callable[[int, Artifact], float]
"""What an island's artifact counts in a mean."""


@dataclass(frozen=True)
class Found:
    """Weights of islands, gathered."""

    islands: tuple[int, ...]
    digests: tuple[str, ...]
    consensus: Consensus
    local: tuple[Scores, ...]
    """Of each island."""
    metadata: tuple[Mapping[str, JsonValue], ...]

    def summary(self, merged: Scores) -> dict[str, JsonValue]:
        """How well these merge: scores of the mean against the mean of the scores."""
        mean = {key: sum(it[key] for it in self.local) / len(self.local) for key in merged}
        return {
            "islands": list(self.islands),
            "local": dict(mean),
            "merged": dict(merged),
            "gap": merged[_LOSS] - mean[_LOSS],
            "consensusDistance": self.consensus.distance(),
        }


class Gathering:
    """What the merge role does, step by step."""

    def __init__(self, order: MergeOrder, context: Context, task: Task, dataset: Dataset) -> None:
        assert context.onlooker is not None, "whoever merges sees the islands"
        self._order = order
        self._context = context
        self._around: Onlooker = context.onlooker
        self._task = task
        self._clock = context.clock
        self._model = initial_model(task, dataset, order.seed)
        self._holdout = Part.of(dataset, dataset.holdout)
        self._base: Base | None = None
        if order.encoding == "Delta":
            self._base = bound_initialization(context.artifacts, task, dataset, order.seed)
        self._said = self._left_out = ""

    def evaluate(self, number: int, step: int) -> None:
        """Publish `mergeability/<number>`, unless it is there.

        Islands that do not come by the deadline, counted from the first that does, are left out.

        Raises:
            DisruptedError: told to stop.
        """
        ref = names.mergeability_ref(number)
        if ref in self._context.artifacts.bindings(ref):
            return
        refs = {i: names.snapshot_ref(i, number) for i in self._islands()}
        here = self._wait(refs, f"waits for round {number}", self._deadline_seconds)
        found = self._gather({i: refs[i] for i in here}, _alike)
        metadata: dict[str, JsonValue] = {"role": "merge", "round": number, "step": step}
        if found.islands:
            merged = self._score(found.consensus.mean())
            metadata |= self._summary(found, merged)
            self._said = _sentence(f"round {number}", metadata)
            _log.info("%s", self._said)
        self._context.artifacts.publish(ref, Artifact({}, metadata, parents=found.digests))

    def merge(self) -> None:
        """Publish `merged`: the mean of all that finish, its norm statistics measured by them.

        Raises:
            ContractError: fewer islands than the quorum whose weights can be averaged.
            DisruptedError: told to stop.
        """
        began, order = self._clock(), self._order
        refs = {i: names.final_ref(i) for i in self._islands()}
        here = self._wait(refs, "waits for the last weights", None)
        self._require_quorum(len(here))
        found = self._gather({i: refs[i] for i in here}, self._share_of())
        self._require_quorum(len(found.islands))
        mean = found.consensus.mean()
        statistics = self._statistics(mean, found)
        merged = mean | statistics
        scores = self._score(merged)
        metadata: dict[str, JsonValue] = {
            "role": "merge",
            "step": order.steps,
            "contract": dict(self._task.contract()),
            "parameters": sum(it.numel() for it in self._model.parameters()),
            "weights": order.merging.final.weights,
            "reestimated": bool(statistics),
            **self._summary(found, scores),
            **_identity(found),
        }
        base = () if self._base is None else (self._base.digest,)
        artifact = Artifact(
            merged, metadata, (*found.digests, *base), encoding=order.encoding, base=self._base
        )
        self._context.artifacts.publish(names.MERGED_REF, artifact)
        self._context.tally.merge_took(self._clock() - began)
        self._said = _sentence("merged", metadata)
        _log.info("%s", self._said)
        self._report(order.steps)

    def _summary(self, found: Found, merged: Scores) -> dict[str, JsonValue]:
        said = found.summary(merged)
        gap, distance = said["gap"], said["consensusDistance"]
        assert isinstance(gap, float)
        assert isinstance(distance, float)
        self._context.tally.merge_is(gap, distance)
        return said

    def _require_quorum(self, islands: int) -> None:
        order = self._order
        if islands < order.quorum:
            raise ContractError(
                f"the last weights of {islands} of {order.merging.count} islands are there, the "
                f"quorum is {order.quorum}: look at the islands that failed, or lower "
                f"islands.quorum{self._left_out and f' ({self._left_out})'}"
            )

    @property
    def _deadline_seconds(self) -> float:
        return self._order.merging.settings.round_deadline_seconds

    def _islands(self) -> range:
        return range(self._order.merging.count)

    def _share_of(self) -> ShareOf:
        """What each island counts: by the partition, whatever an island says of itself.

        Where islands bring their own data there is nothing to go by but what they say.
        """
        if self._order.merging.final.weights == "Uniform":
            return _alike
        said: Any = self._context.artifacts.fetch(names.ASSIGNMENT_REF).metadata
        sizes = said.get("sizes")
        return _claimed if sizes is None else lambda island, _: float(sizes[island])

    def _wait(self, refs: Mapping[int, Ref], what: str, seconds: float | None) -> tuple[int, ...]:
        """The islands whose refs are bound, once all are that are not given up.

        Args:
            refs: what to wait for, by island.
            what: for people.
            seconds: how long from the first on; None: as long as it takes.
        """
        until: float | None = None
        while True:
            bound = self._around.wait(list(refs.values()), SLICE_SECONDS)
            here = [
                i for i, ref in refs.items() if bound.get(ref, ABSENCE.digest) != ABSENCE.digest
            ]
            open_islands = [i for i, ref in refs.items() if ref not in bound and not self._lost(i)]
            if seconds is not None and here and until is None:
                until = self._clock() + seconds
            if not open_islands or (until is not None and self._clock() >= until):
                return tuple(here)
            self._look_up(what, open_islands)

    def _lost(self, island: int) -> bool:
        return bool(self._around.wait([names.lost_ref(island)], 0))

    def _gather(self, refs: Mapping[int, Ref], share_of: ShareOf) -> Found:
        """Fetch, score and add up; an island whose weights cannot be had is left out."""
        consensus = Consensus(frozenset(name for name, _ in self._model.named_parameters()))
        islands, digests, local, metadata = [], [], list[Scores](), []
        for island, ref in refs.items():
            artifact = self._fetch(ref, island)
            if artifact is None:
                continue
            share = self._share_if_fit(artifact, ref, island, share_of)
            if share is None:
                continue
            tensors = self._in_one_basis(consensus, artifact.tensors)
            consensus.add(tensors, share)
            local.append(self._score(tensors))
            islands.append(island)
            digests.append(self._around.wait([ref], 0)[ref])
            metadata.append(artifact.metadata)
        return Found(tuple(islands), tuple(digests), consensus, tuple(local), tuple(metadata))

    def _share_if_fit(
        self, artifact: Artifact, ref: Ref, island: int, share_of: ShareOf
    ) -> float | None:
        """What weights count that can be averaged with others; if not, people are told why."""
        try:
            require_fit(self._model.state_dict(), artifact.tensors, ref)
            require_finite_weights(artifact.tensors, ref)
            return share_of(island, artifact)
        except ContractError as error:
            self._left_out = f"left out: {error}"
            _log.warning("%s", self._left_out)
            return None

    def _in_one_basis(
        self, consensus: Consensus, tensors: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """In the order of units of those before, where each island keeps an order of its own."""
        iterative = self._order.merging.iterative
        if iterative is None or iterative.alignment.when != "EveryRound" or not consensus.count:
            return tensors
        settings, seed = iterative.alignment, self._order.seed
        like = probe_batch(self._holdout, settings.probe.samples)
        probe = gaussian_probe(self._task, like, settings.probe.samples, seed)
        return align(self._model, consensus.mean(), tensors, settings, probe, seed).tensors

    def _fetch(self, ref: Ref, island: int) -> Artifact | None:
        until = self._clock() + self._deadline_seconds
        while True:
            try:
                found = self._around.fetch(ref, PATIENCE_SECONDS)
            except UnavailableError:
                if self._clock() >= until or self._lost(island):
                    return None
            except RejectedError:  # its island has waited long enough, and has let it go
                return None
            else:
                return found if found.tensors else None
            self._look_up(f"reads {ref}", [island])

    def _statistics(self, mean: Mapping[str, Tensor], found: Found) -> dict[str, Tensor]:
        """Norm statistics of the mean, each island's on its own data, averaged; empty for none."""
        reestimate = self._order.merging.final.norm_statistics == "Reestimate"
        if not reestimate or not norm_statistics(self._model):
            return {}
        self._context.artifacts.publish(names.MEAN_REF, Artifact(mean, {"role": "merge"}))
        refs = {island: names.statistics_ref(island) for island in found.islands}
        here = self._wait(refs, "waits for norm statistics", self._deadline_seconds)
        total, any_came, share_of = Accumulator(), False, self._share_of()
        for island in here:
            artifact = self._fetch(refs[island], island)
            if artifact is not None:
                require_fit(norm_statistics(self._model), artifact.tensors, refs[island])
                total.add(artifact.tensors, share_of(island, artifact))
                any_came = True
        return total.result() if any_came else {}

    def _score(self, tensors: Mapping[str, Tensor]) -> Scores:
        self._model.load_state_dict(dict(tensors))
        return holdout_scores(self._task, self._model, self._holdout, self._order.seed)

    def _look_up(self, what: str, islands: Collection[int]) -> None:
        """Say what for, and stop if told to."""
        if self._context.stop.requested():
            raise DisruptedError("merge: told to stop; a restart goes on from what is bound")
        listed = ", ".join(map(str, list(islands)[:8]))
        self._report(0, f"{what} of island {listed}")

    def _report(self, done: int, more: str = "") -> None:
        message = "; ".join(filter(None, (self._said, self._left_out, more)))
        self._context.progress.report(ProgressReport(done, self._order.steps, message=message))


def _alike(_island: int, _artifact: Artifact) -> float:
    return 1.0


def _claimed(island: int, artifact: Artifact) -> float:
    """By the samples that an island says it has."""
    samples = artifact.metadata.get("trainSamples")
    if not isinstance(samples, int) or not 1 <= samples <= _MOST_SAMPLES:
        raise ContractError(
            f"island {island} says that it has {str(samples)[:20]} samples: say "
            "finalMerge.weights: Uniform to count all islands alike"
        )
    return float(samples)


def holdout_scores(task: Task, model: nn.Module, part: Part, seed: int) -> Scores:
    """Means over a part, every sample equally often and with the same noise for every model."""
    sums: dict[str, float] = {}
    count = 0
    model.eval()
    with device.placed(model), torch.inference_mode():
        for drawn, _ in judged_inputs(task, part, derive(seed, "holdout")):
            inputs = device.follow(drawn, model)
            predicted_BD = task.predict(model, inputs)
            found = {_LOSS: task.losses(predicted_BD, inputs)}
            if isinstance(task, Measured):
                found |= task.measures(predicted_BD, inputs)
            for name, values_B in found.items():
                sums[name] = sums.get(name, 0.0) + float(values_B.double().sum())
            count += len(inputs.x_BD)
    model.train()
    return {name: total / count for name, total in sums.items()}


def _sentence(when: str, said: Mapping[str, JsonValue]) -> str:
    """One line for people: `round 99: islands 0.61, their mean 0.43, gap -0.18`."""
    local, merged, gap, distance = (
        said[key] for key in ("local", "merged", "gap", "consensusDistance")
    )
    assert isinstance(local, dict)
    assert isinstance(merged, dict)
    assert isinstance(gap, float)
    assert isinstance(distance, float)
    return (
        f"{when}: loss of the islands {local[_LOSS]:.4g}, of their mean {merged[_LOSS]:.4g}, gap "
        f"{gap:+.4g}, consensus distance {distance:.2g}"
    )


def _identity(found: Found) -> dict[str, JsonValue]:
    """What all islands say of the data they were divided from."""
    first = found.metadata[0]
    keys = ("assignmentHash", "dataDigest", "sampleShape", "classNames")
    return {key: first[key] for key in keys if key in first}
