"""One island between its rounds: offer its weights, take its neighbours', go on from the mix.

What may be lost with a process is remembered until it no longer matters. An island's snapshot is
served from its memory and kept in its checkpoints until each of its readers has bound the record
of that round; a record is bound once the checkpoint behind it is saved. So whoever is started
again finds what it needs to do the same rounds with the same peers, and ends at the same bits.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from atoll_api import names
from atoll_api.spec.exchange import Encoding
from atoll_api.spec.merging import OuterNesterov
from atoll_telemetry import logs
from atoll_worker import device
from atoll_worker.errors import ContractError, CorruptArtifactError, RejectedError, UnavailableError
from atoll_worker.exchange.encoding import encode, received
from atoll_worker.exchange.manifest import ABSENCE
from atoll_worker.merge.course import Course, readers, to_self
from atoll_worker.merge.mean import Accumulator
from atoll_worker.merge.outer import outer_step
from atoll_worker.merge.repair import Spread
from atoll_worker.ports import Artifact, Artifacts, Base, Neighbourhood
from atoll_worker.tally import Merged, Tally
from atoll_worker.train.fit import require_fit
from atoll_worker.train.loop import TrainingState
from atoll_worker.train.records import Record, Records
from atoll_worker.train.session import Pause

SLICE_SECONDS: Final = 0.25
"""How long to wait before looking up."""
PATIENCE_SECONDS: Final = 10.0
"""With a neighbour, and then with the hub, before asking anew who has a snapshot."""
UNSAVED_ROUNDS: Final = 4
"""Merges after which a checkpoint is due: neighbours keep their snapshots for so long."""

_LATE: Final = "this island was late itself"
_log = logging.getLogger(__name__)

Tensors = Mapping[str, Tensor]
Spreads = Mapping[str, Spread]
Move = Callable[[Tensors], dict[str, Tensor]]
"""Puts weights, or what is shaped like them, into another basis."""


class Network(Protocol):
    """What merging has to know of a network beside its weights."""

    def move(self, reference: Tensors, own: Tensors) -> Move:
        """How to bring `own` into the basis of `reference`.

        Raises:
            ContractError: the network does not say which of its units are interchangeable.
        """
        ...

    def spreads(self, tensors: Tensors) -> Spreads:
        """How far the units of a network with these weights vary on the probe, by layer."""
        ...

    def repaired(self, merged: Tensors, ends: Sequence[tuple[Spreads, float]]) -> dict[str, Tensor]:
        """A mean whose units have the spread of those that it was made of, by their shares."""
        ...

    def reestimate(self, model: nn.Module) -> None:
        """Measure norm statistics anew on the island's own data; nothing for other networks."""
        ...

    def statistics(self, model: nn.Module) -> dict[str, Tensor]:
        """Norm statistics of a model by name; empty for networks without."""
        ...


@dataclass(frozen=True)
class Rules:
    """How an island merges.

    Attributes:
        island: its number.
        course: who reads whom, and what that counts.
        deadline_seconds: how long to wait for one round.
        encoding: how snapshots travel.
        base: of a Delta.
        init_digest: of the weights that all began with; empty where each has its own.
        align: when to align, as `Align.when`.
        repair: whether units get their spread back after a merge that aligned.
        outer: of DiLoCo; None to average.
        reset_optimizer: whether the optimizer begins anew after a merge.
        reestimate: whether norm statistics are measured anew after a merge.
        mutual: whether neighbours read each other: who is late then merges with nobody.
    """

    island: int
    course: Course
    deadline_seconds: float
    encoding: Encoding = "Raw"
    base: Base | None = None
    init_digest: str = ""
    align: str = "Never"
    repair: bool = False
    outer: OuterNesterov | None = None
    reset_optimizer: bool = False
    reestimate: bool = False
    mutual: bool = True


@dataclass(frozen=True)
class _Taken:
    """A neighbour's snapshot."""

    tensors: Tensors
    digest: str


class Merging:
    """Implements `session.Rounds` for one island."""

    def __init__(
        self,
        rules: Rules,
        artifacts: Artifacts,
        neighbourhood: Neighbourhood,
        network: Network,
        clock: Callable[[], float] = time.monotonic,
        tally: Tally | None = None,
    ) -> None:
        self._rules = rules
        self._tally = tally or Tally()
        self._artifacts = artifacts
        self._around = neighbourhood
        self._network = network
        self._clock = clock
        self._records = Records(rules.island, rules.course.ends, artifacts)
        self._expected: Tensors = {}
        """Names, types and shapes of weights."""

    @property
    def ends(self) -> tuple[int, ...]:
        """See `session.Rounds.ends`."""
        return self._rules.course.ends

    def begin(self, state: TrainingState) -> None:
        """Offer again what this island offered before it was started again."""
        if self._rules.outer is not None and not _below("anchor/", state.kept):
            floats = _trained_floats(state.model)
            _keep(state, "anchor/", floats)
            _keep(state, "momentum/", {n: torch.zeros_like(it).float() for n, it in floats.items()})
        for number in _outstanding(state):
            self._offer(number, _below(f"snapshots/{number}/", state.kept))
        self._records.resume(state)

    def exchange(self, state: TrainingState, pause: Pause) -> bool:
        """See `session.Rounds.exchange`."""
        began, rules, number = self._clock(), self._rules, state.rounds
        self._expected = self._own(state)
        # what stands in a checkpoint with its snapshot has joined: ties would move it again
        joined = not self._aligns_first(number) or number in _outstanding(state)
        joined = joined or self._join_basis(state, range(rules.island), pause)
        own = self._own(state)
        offered = self._serve(state, number, own)
        if not joined and not offered:  # the others have taken one of themselves meanwhile
            self._join_basis(state, range(rules.island + 1, rules.course.count), pause)
        if len(rules.course.weights(number, rules.island)) > 1:
            self._merge(state, own, pause, offered=offered)
            self._tally.merge_took(self._clock() - began)
        self._withdraw_taken(state)
        return len(self._records) >= UNSAVED_ROUNDS

    def saved(self, number: int) -> None:
        """Tell of the rounds that this checkpoint, and any later one, need not do again."""
        self._records.saved(number)

    def finish(self, state: TrainingState, pause: Pause) -> None:
        """Stay until every reader has what it reads, or is too late."""
        until = self._clock() + self._rules.deadline_seconds
        while (missing := self._withdraw_taken(state)) and self._clock() < until:
            pause.wait_for("has finished, and serves its weights to others")
            self._await(missing)
        left = [self._ref(number) for number in _outstanding(state)]
        self._around.withdraw(left)
        for ref in left:  # whoever comes later need not wait for what comes no more
            self._artifacts.publish(ref, Artifact({}))
        state.kept = {k: v for k, v in state.kept.items() if not k.startswith("snapshots/")}

    def _own(self, state: TrainingState) -> dict[str, Tensor]:
        """The weights now, as their readers will have them."""
        copied = device.on_cpu(state.model.state_dict(), copy=True)
        return dict(received(copied, self._rules.encoding, self._rules.base))

    def _ref(self, number: int) -> names.Ref:
        return names.snapshot_ref(self._rules.island, number)

    def _serve(self, state: TrainingState, number: int, own: Tensors) -> bool:
        """Offer a snapshot that somebody reads. Whether this island is in the round."""
        if not self._readers(number) and not self._rules.course.evaluated(number):
            return True
        if not self._offer(number, own):
            return False
        _keep(state, f"snapshots/{number}/", own)
        return True

    def _offer(self, number: int, own: Tensors) -> bool:
        rules = self._rules
        metadata: dict[str, JsonValue] = {
            "role": "island",
            "island": rules.island,
            "round": number,
            "step": self.ends[number],
            "init": rules.init_digest,
        }
        snapshot = Artifact(own, metadata, encoding=rules.encoding, base=rules.base)
        digest = encode(snapshot).manifest.digest
        return self._around.offer(self._ref(number), snapshot).digest == digest

    def _aligns_first(self, number: int) -> bool:
        return number == 0 and self._rules.align == "FirstMerge"

    def _readers(self, number: int) -> tuple[int, ...]:
        rules = self._rules
        if self._aligns_first(number):  # any island may become the reference
            return tuple(other for other in range(rules.course.count) if other != rules.island)
        return readers(rules.course, number, rules.island)

    def _merge(self, state: TrainingState, own: Tensors, pause: Pause, *, offered: bool) -> None:
        """Take what is there, mix it in the order of islands, and note what that was."""
        rules, number = self._rules, state.rounds
        weights = rules.course.weights(number, rules.island)
        # With DiLoCo all have to take the same step, whoever is late too: from the others' weights.
        alone = not offered and rules.mutual and rules.outer is None
        counted = offered or not rules.mutual
        until = self._clock() + rules.deadline_seconds
        mean, digests, absent = Accumulator(), dict[int, str](), dict[int, str]()
        repairs = rules.repair and (self._aligns_first(number) or rules.align == "EveryRound")
        spreads: dict[int, Spreads] = {rules.island: self._network.spreads(own)} if repairs else {}
        for other in sorted(weights):
            if other == rules.island:
                mean.add(own, weights[other] if counted else 0.0)
                continue
            found = _LATE if alone else self._take(other, number, until, pause)
            if isinstance(found, str):
                absent[other] = found
                continue
            theirs = self._in_own_basis(own, found.tensors)
            mean.add(theirs, weights[other])
            digests[other] = found.digest
            if repairs:
                spreads[other] = self._network.spreads(theirs)
        shares = to_self(weights, rules.island, frozenset(absent))
        if rules.outer is None:  # DiLoCo takes the mean of those that are there
            mean.add(own, shares[rules.island] - weights[rules.island])
        if digests or (rules.outer is not None and counted):
            merged = mean.result()
            if repairs:
                ends = [(spreads[other], shares[other]) for other in sorted(spreads)]
                merged = self._network.repaired(merged, ends)
            self._go_on_from(state, self._with_own_rest(state, own, merged))
        self._note(state, shares, digests, absent)

    def _with_own_rest(
        self, state: TrainingState, own: Tensors, mean: Tensors
    ) -> dict[str, Tensor]:
        """The mean, and what rounding took from this island's weights on their way out.

        Else training would stand still wherever a round moves weights by less than half a step of
        the encoding (Koloskova et al., 1902.00340, algorithm 2, with a step size of 1). The mean over
        islands is that of the unrounded weights. Nothing for Raw.
        """
        if self._rules.outer is not None or self._rules.encoding == "Raw":
            return dict(mean)
        raw = device.on_cpu(state.model.state_dict())
        return {
            name: it + (raw[name] - own[name]) if it.is_floating_point() else it
            for name, it in mean.items()
        }

    def _in_own_basis(self, own: Tensors, theirs: Tensors) -> Tensors:
        if self._rules.align != "EveryRound":
            return theirs
        return self._network.move(own, theirs)(theirs)

    def _take(self, other: int, number: int, until: float, pause: Pause) -> _Taken | str:
        """A neighbour's snapshot, or why there is none."""
        ref = names.snapshot_ref(other, number)
        while True:
            pause.wait_for(f"waits for island {other} in round {number}")
            digest = self._await([ref]).get(ref)
            told = self._is_told(number)
            over = told or self._clock() >= until or self._is_lost(other)
            if digest is None and over:
                digest = self._around.excuse(ref).digest
            if digest == ABSENCE.digest:
                return "its weights of then are gone" if told else "it did not come in time"
            if digest is None:
                continue
            found = self._fetch(other, number, digest)
            if found is not None:
                return found
            if over:
                return "its weights could not be had in time"

    def _fetch(self, other: int, number: int, digest: str) -> _Taken | str | None:
        """None: nobody who has it answers now."""
        try:
            artifact = self._around.fetch(names.snapshot_ref(other, number), PATIENCE_SECONDS)
            self._check(other, artifact)
        except UnavailableError:
            return None
        except (ContractError, CorruptArtifactError, RejectedError) as error:
            return str(error)
        return _Taken(artifact.tensors, digest)

    def _check(self, other: int, artifact: Artifact) -> None:
        """Refuse what would spoil the mean.

        Raises:
            ContractError: naming the tensor, or the initialization.
        """
        if artifact.metadata.get("init") != self._rules.init_digest:
            raise ContractError("it began with other weights than this island")
        if artifact.metadata.get("island") != other:
            raise ContractError(f"it says it is of island {artifact.metadata.get('island')}")
        for name, tensor in artifact.tensors.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise ContractError(f"its tensor {name!r} has NaN or infinite values")
        require_fit(self._expected, artifact.tensors, f"island {other}")

    def _join_basis(self, state: TrainingState, candidates: Iterable[int], pause: Pause) -> bool:
        """Take over the order of units of the first that is there, if any; the same function.

        Each candidate has the whole deadline: it may have waited for the one before as long as
        this island has, and would else be excused in the moment in which it comes.
        """
        for candidate in candidates:
            found = self._take(candidate, 0, self._clock() + self._rules.deadline_seconds, pause)
            if isinstance(found, _Taken):
                move = self._network.move(found.tensors, self._own(state))
                state.model.load_state_dict(move(device.on_cpu(state.model.state_dict())))
                state.optimizer.load(_moved(state, move))
                return True
        return False

    def _go_on_from(self, state: TrainingState, mean: dict[str, Tensor]) -> None:
        if self._rules.outer is not None:
            anchor, momentum = (_below(it, state.kept) for it in ("anchor/", "momentum/"))
            anchor, momentum = outer_step(anchor, momentum, mean, self._rules.outer)
            _keep(state, "anchor/", anchor)
            _keep(state, "momentum/", momentum)
            mean |= anchor
        state.model.load_state_dict(mean)
        if self._rules.reset_optimizer:
            state.optimizer.load(
                {name: torch.zeros_like(it) for name, it in state.optimizer.state().items()}
            )
        if self._rules.reestimate:
            self._network.reestimate(state.model)

    def _note(
        self,
        state: TrainingState,
        shares: Mapping[int, float],
        digests: Mapping[int, str],
        absent: Mapping[int, str],
    ) -> None:
        """Remember the round, and have it told once the checkpoint behind it is saved."""
        number = state.rounds
        self._tally.merged(_result(digests, absent))
        said: dict[str, JsonValue] = {"round": number, "peers": list(digests)}
        if absent:
            told = "; ".join(f"island {other}: {why}" for other, why in absent.items())
            said["note"] = f"round {number} without {told}"
        self._say(number, digests, said.get("note"))
        state.history = [*state.history, said]
        record: Record = {
            "round": number,
            "snapshots": {str(other): digest for other, digest in digests.items()},
            "absent": {str(other): why for other, why in absent.items()},
            "shares": {str(other): share for other, share in sorted(shares.items())},
            "result": encode(Artifact(device.on_cpu(state.model.state_dict()))).manifest.digest,
        }
        self._records.add(record)

    def _say(self, number: int, merged: Iterable[int], note: JsonValue) -> None:
        told, rounds = logs.extra(round=number), len(self.ends)
        if note is not None:
            _log.warning("%s, of %d", note, rounds, extra=told)
            return
        peers = ", ".join(map(str, merged)) or "nobody"
        _log.info("round %d of %d is over, merged with %s", number, rounds, peers, extra=told)

    def _withdraw_taken(self, state: TrainingState) -> set[names.Ref]:
        """Let go of snapshots that nobody needs; what is missing to let go of the others."""
        missing: set[names.Ref] = set()
        for number in _outstanding(state):
            needed = self._missing(number)
            missing |= needed
            if not needed:
                self._around.withdraw([self._ref(number)])
                prefix = f"snapshots/{number}/"
                state.kept = {k: v for k, v in state.kept.items() if not k.startswith(prefix)}
        return missing

    def _missing(self, number: int) -> set[names.Ref]:
        """Refs that say that a reader has read, and are not bound yet."""
        wanted = {
            names.record_ref(other, number)
            for other in self._readers(number)
            if not self._is_lost(other) and not self._is_excused(other, number)
        }
        if self._rules.course.evaluated(number):
            wanted.add(names.mergeability_ref(number))
        return wanted - self._around.wait(wanted, 0).keys()

    def _is_excused(self, other: int, number: int) -> bool:
        """Whether a reader is out of a round: it merges with nobody and needs nothing for it.

        Without this an island that is away for long has its neighbours keep all that it misses.
        """
        rules = self._rules
        if not rules.mutual or rules.outer is not None or self._aligns_first(number):
            return False
        ref = names.snapshot_ref(other, number)
        return self._around.wait([ref], 0).get(ref) == ABSENCE.digest

    def _is_told(self, number: int) -> bool:
        """Whether this round was over once: what is not there any more then never comes."""
        return bool(self._around.wait([names.record_ref(self._rules.island, number)], 0))

    def _await(self, refs: Collection[names.Ref]) -> Mapping[names.Ref, str]:
        """What is bound of these, once all are or a while has passed."""
        began = self._clock()
        found = self._around.wait(refs, SLICE_SECONDS)
        self._tally.waited(self._clock() - began)
        return found

    def _is_lost(self, other: int) -> bool:
        return bool(self._around.wait([names.lost_ref(other)], 0))


def _result(digests: Mapping[int, str], absent: Mapping[int, str]) -> Merged:
    if not absent:
        return "complete"
    return "partial" if digests else "alone"


def _keep(state: TrainingState, prefix: str, tensors: Tensors) -> None:
    state.kept = {**state.kept, **{prefix + name: it for name, it in tensors.items()}}


def _below(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _outstanding(state: TrainingState) -> list[int]:
    """Rounds whose snapshot somebody may still need."""
    return sorted({int(k.split("/")[1]) for k in state.kept if k.startswith("snapshots/")})


def _trained_floats(model: nn.Module) -> dict[str, Tensor]:
    """Copies of what an outer optimizer moves: a variance of BatchNorm that overshoots is negative."""
    buffers = {name for name, _ in model.named_buffers()}
    found = model.state_dict().items()
    moved = {name: it for name, it in found if it.is_floating_point() and name not in buffers}
    return device.on_cpu(moved, copy=True)


def _moved(state: TrainingState, move: Move) -> dict[str, Tensor]:
    """The optimizer's state in another basis: its moments are shaped like the parameters."""
    trained = [name for name, it in state.model.named_parameters() if it.requires_grad]
    moved = device.on_cpu(state.optimizer.state())
    for kind in ("mean", "square"):
        found = move({name: moved[f"{index}/{kind}"] for index, name in enumerate(trained)})
        moved |= {f"{index}/{kind}": found[name] for index, name in enumerate(trained)}
    return moved
