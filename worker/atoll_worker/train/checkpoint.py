"""Checkpoints: all that a run needs to go on at the same bits."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

import torch
from pydantic import JsonValue
from torch import Tensor

from atoll_api import names
from atoll_api.names import Ref, StepName
from atoll_telemetry import logs, tracing
from atoll_worker import device
from atoll_worker.errands import Errands
from atoll_worker.errors import ContractError, CorruptArtifactError, RejectedError
from atoll_worker.ports import Artifact, Artifacts
from atoll_worker.tally import Tally
from atoll_worker.train.fit import require_fit
from atoll_worker.train.loop import TrainingState

_KEPT = 2
"""The newest, and one before it should the newest be damaged."""

_MOST_STEPS = 2**53
"""More than anybody waits for; such a number still fits into a ref."""

_log = logging.getLogger(__name__)


def snapshot(state: TrainingState) -> Artifact:
    """A copy of the state on the CPU, that later steps do not change."""
    tensors = {f"model/{name}": value for name, value in state.model.state_dict().items()}
    tensors |= {f"ema/{name}": value for name, value in state.ema.state().items()}
    tensors |= {f"optimizer/{name}": value for name, value in state.optimizer.state().items()}
    curve: list[JsonValue] = [[step, loss] for step, loss in state.curve]
    copied = device.on_cpu(tensors, copy=True)
    kept = {f"kept/{name}": value for name, value in state.kept.items()}
    return Artifact(
        tensors=copied | kept,
        metadata={
            "role": "checkpoint",
            "step": state.step,
            "rounds": state.rounds,
            "history": list(state.history),
            "untold": [dict(it) for it in state.untold],
            "lossCurve": curve,
            "lossSum": float(state.loss_sum),
        },
    )


def number_of(state: TrainingState) -> int:
    """The number of a checkpoint's ref: grows with each step and with each round that is over."""
    return state.step + state.rounds


def restore(state: TrainingState, checkpoint: Artifact) -> None:
    """Make a fresh state what it was when the checkpoint was taken.

    Raises:
        CorruptArtifactError: it does not belong to this model. The state is then undefined.
    """
    try:
        _restore(state, checkpoint)
    except ContractError as error:
        raise CorruptArtifactError(str(error)) from error
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise CorruptArtifactError(
            f"the checkpoint does not fit the model ({type(error).__name__}): start a new job"
        ) from error


def _restore(state: TrainingState, checkpoint: Artifact) -> None:
    metadata: dict[str, object] = dict(checkpoint.metadata)
    step, rounds, curve, loss_sum, history = (
        metadata[key] for key in ("step", "rounds", "lossCurve", "lossSum", "history")
    )
    untold = metadata.get("untold", [])  # those that an older image saved say nothing of it
    if not _is_count(step) or not _is_count(rounds):
        raise TypeError("step or rounds")
    if not isinstance(curve, list) or not isinstance(history, list):
        raise TypeError("lossCurve or history")
    if not isinstance(untold, list) or not all(_is_record(it, rounds) for it in untold):
        raise TypeError("untold")
    model, ema, optimizer = (
        _below(prefix, checkpoint) for prefix in ("model/", "ema/", "optimizer/")
    )
    require_fit(state.model.state_dict(), model, "the checkpoint's model")
    require_fit(state.ema.state(), ema, "the checkpoint's average")
    require_fit(state.optimizer.state(), optimizer, "the checkpoint's optimizer")
    state.model.load_state_dict(model)
    state.ema.load(ema)
    state.optimizer.load(optimizer)
    state.curve = [(int(at), float(loss)) for at, loss in curve]
    state.loss_sum.copy_(torch.tensor(loss_sum, dtype=torch.float64))
    state.step = step
    state.rounds = rounds
    state.history = history
    state.untold = list(untold)
    state.kept = _below("kept/", checkpoint)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MOST_STEPS


def _is_record(value: object, rounds: int) -> bool:
    """Whether it can be the record of a round that was over."""
    number = value.get("round") if isinstance(value, dict) else None
    return _is_count(number) and number < rounds


def _below(prefix: str, artifact: Artifact) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in artifact.tensors.items()
        if name.startswith(prefix)
    }


@dataclass(frozen=True)
class Resumed:
    """A state to go on from, and what was wrong with newer checkpoints."""

    state: TrainingState
    note: str


def resume(
    artifacts: Artifacts, step_name: StepName, fresh: Callable[[], TrainingState]
) -> Resumed:
    """The state of the newest readable checkpoint, or a fresh one.

    Args:
        artifacts: where checkpoints are.
        step_name: whose checkpoints.
        fresh: makes the state before the first step.
    """
    notes: list[str] = []
    for ref in reversed(_checkpoints(artifacts, step_name)):
        state = fresh()
        try:
            restore(state, artifacts.fetch(ref))
        except (CorruptArtifactError, RejectedError) as error:
            notes.append(f"{ref} is not readable ({error})")
            _log.warning("%s", notes[-1])
            continue
        notes.append(f"resumed at step {state.step}")
        _log.info("resumed at step %d, from %s", state.step, ref)
        return Resumed(state, "; ".join(notes))
    if notes:
        notes.append("started again")
    return Resumed(fresh(), "; ".join(notes))


def _checkpoints(artifacts: Artifacts, step_name: StepName) -> list[Ref]:
    """Refs of the checkpoints of a step, oldest first."""
    found = []
    for ref in artifacts.bindings(f"checkpoints/{step_name}/"):
        parsed = names.parse_checkpoint_ref(ref)
        if parsed is not None and parsed[0] == step_name:
            found.append((parsed[1], ref))
    return [ref for _, ref in sorted(found)]


@dataclass(frozen=True)
class _Taken:
    """A snapshot on its way, and when it was taken over."""

    number: int
    checkpoint: Artifact
    began: float


class CheckpointWriter:
    """Saves checkpoints in the background, one at a time; training never waits for the hub.

    A checkpoint that comes while another is on its way replaces the one that waits. What the
    hub refuses, or cannot be told, is kept in `problem`: it costs a resume, not the training.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        step_name: StepName,
        errands: Errands,
        saved: Callable[[int], None] = lambda _number: None,
        tally: Tally | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Save nothing yet.

        Args:
            artifacts: where checkpoints go.
            step_name: whose they are.
            errands: beside the training.
            saved: called there with the number of each that is saved; what it raises is a problem
                of the save.
            tally: told how each ended.
            clock: read there, too.
        """
        self._artifacts = artifacts
        self._step_name = step_name
        self._saved = saved
        self._tally = tally or Tally()
        self._clock = clock
        self._errands = errands
        self.problem = ""
        """Why the last save did not succeed; empty when it did."""

    def save(self, number: int, checkpoint: Artifact) -> None:
        """Take a snapshot over, to be saved as soon as the one before it is."""
        taken = _Taken(number, checkpoint, self._clock())

        def errand() -> None:
            self.problem = self._save(taken)

        self._errands.give(errand)

    def finish(self) -> str:
        """Wait until everything taken over is saved or given up; returns `problem`."""
        self._errands.finish()
        return self.problem

    def close(self) -> None:
        """End without saving what still waits; a save on its way ends by itself."""
        self._errands.close()

    def _save(self, taken: "_Taken") -> str:
        began, step = self._clock(), taken.checkpoint.metadata["step"]
        try:
            with tracing.span("checkpoint", number=taken.number):
                self._publish(taken)
                self._saved(taken.number)
                self._artifacts.drop(_checkpoints(self._artifacts, self._step_name)[:-_KEPT])
        except Exception as error:  # noqa: BLE001 - it costs a resume, not the training
            _log.warning("checkpoint of step %s not saved: %s", step, error)
            return f"checkpoint of step {step} not saved: {error}"
        seconds = self._clock() - began
        said = logs.extra(seconds=round(seconds, 3))
        _log.info("checkpoint of step %s saved in %.2f s", step, seconds, extra=said)
        return ""

    def _publish(self, taken: "_Taken") -> None:
        ref = names.checkpoint_ref(self._step_name, taken.number)
        try:
            binding = self._artifacts.publish(ref, taken.checkpoint)
        except Exception:
            self._tally.checkpoint_failed()
            raise
        self._tally.checkpoint_saved(self._clock() - taken.began, binding.size_bytes)
