"""The injector for real processes: waits for the moment of a fault, and lets it happen."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import real_world as world
from atoll_runs import children_of
from plans import OPERATOR, TRAINING, Fault
from real_plans import AWAITED, BEGINS, BOUND, HELD, LEAVES, MERGING, SAVES
from stage import Stage

SAVED_SECONDS: Final = 1.3
"""Of a hold after which a checkpoint is due; jobs save one each second."""
AWAITED_SECONDS: Final = 10.0
"""With gossip an island need not have a reader in a round: then it is only held."""
CONTINUED_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Struck:
    """What came of one fault.

    Attributes:
        fault: which.
        hit: whether its moment came.
        seconds: from its end until whoever it happened to was seen to go on; None if it never was.
        note: what was damaged, or how many connections were reset.
    """

    fault: Fault
    hit: bool
    seconds: float | None = None
    note: str = ""


def strike(stage: Stage, fault: Fault) -> Struck:
    """Let a fault happen in its moment."""
    if not stage.wait(lambda: _reached(stage, fault)):
        return Struck(fault, hit=False, note="its moment never came")
    if fault.at.point == AWAITED:
        stage.wait(lambda: _is_awaited(stage, fault.at.step), AWAITED_SECONDS)
    if fault.at.point == SAVES:
        stage.pause(SAVED_SECONDS)
    if fault.at.point in (SAVES, LEAVES):
        stage.release()
    stage.pause(fault.detail / 1000)
    note = _ACTS[fault.kind](stage, fault)
    stage.release()
    stage.wait(lambda: stage.seconds_to_continue is not None, CONTINUED_SECONDS)
    return Struck(fault, hit=True, seconds=stage.seconds_to_continue, note=note)


def _reached(stage: Stage, fault: Fault) -> bool:
    at = fault.at
    match at.point:
        case it if it in HELD:
            return stage.held
        case "begins":
            return bool(children_of(stage.folder, at.step))
        case "bound":
            ref = world.written_by(at.step, merging=stage.plan.strategy in MERGING)
            return world.is_bound(stage.folder, ref)
        case other:
            raise AssertionError(f"{other} is none of {(TRAINING, *HELD, BEGINS, BOUND)}")


def _is_awaited(stage: Stage, step: str) -> bool:
    """Whether another island waits for the one that is held."""
    said = f"waits for island {step.removeprefix('island-')} in round"
    return any(said in it["message"] for it in stage.run.status().get("islands", []))


def _kill(stage: Stage, fault: Fault) -> str:
    return _signal(stage, fault, signal.SIGKILL)


def _evict(stage: Stage, fault: Fault) -> str:
    return _signal(stage, fault, signal.SIGTERM)


def _signal(stage: Stage, fault: Fault, number: int) -> str:
    pids = stage.pids_of(fault.target)
    for pid in pids:
        world.tell(pid, number)
    stage.watch(fault.target)
    return "" if pids else "it had ended"


def _freeze(stage: Stage, fault: Fault) -> str:
    pids = stage.pids_of(fault.target)
    for pid in pids:
        world.tell(pid, signal.SIGSTOP)
    stage.pause(fault.seconds)
    stage.watch(fault.target)
    for pid in pids:
        world.tell(pid, signal.SIGCONT)
    return "" if pids else "it had ended"


def _again(number: int) -> Callable[[Stage, Fault], str]:
    """End `atoll run` with a signal, and start it again as a person would."""

    def act(stage: Stage, fault: Fault) -> str:
        del fault
        world.tell(stage.run.process.pid, number)
        stage.release()  # told to stop, an island saves its work first
        code, _ = stage.end()
        stage.watch(OPERATOR)
        stage.start()
        return f"exit code {code}"

    return act


def _damage(stage: Stage, fault: Fault) -> str:
    world.tell(stage.run.process.pid, signal.SIGKILL)
    stage.release()
    stage.end()
    stage.settle()
    cut = fault.kind == "truncate"
    note = world.damage(stage.folder, fault.target, fault.detail, truncate=cut)
    stage.watch(OPERATOR)
    stage.start()
    return note


def _cut(stage: Stage, fault: Fault) -> str:
    assert stage.network is not None
    stage.network.cut()
    stage.pause(fault.seconds)
    stage.watch(fault.target)
    stage.network.mend()
    return ""


def _slow(stage: Stage, fault: Fault) -> str:
    assert stage.network is not None
    stage.network.slow()
    stage.release()
    stage.pause(fault.seconds)
    stage.watch(fault.target)
    stage.network.mend()
    return ""


def _reset(stage: Stage, fault: Fault) -> str:
    assert stage.network is not None
    count = stage.network.reset()
    stage.watch(fault.target)
    return f"{count} ends of connections"


def _full(stage: Stage, fault: Fault) -> str:
    world.fill(stage.folder)
    stage.release()
    stage.pause(fault.seconds)
    stage.watch(fault.target)
    world.free(stage.folder)
    return ""


_ACTS: Final[Mapping[str, Callable[[Stage, Fault], str]]] = {
    "kill": _kill,
    "doom": _kill,
    "evict": _evict,
    "freeze": _freeze,
    "crash": _again(signal.SIGKILL),
    "interrupt": _again(signal.SIGINT),
    "terminate": _again(signal.SIGTERM),
    "flip": _damage,
    "truncate": _damage,
    "cut": _cut,
    "slow": _slow,
    "reset": _reset,
    "full": _full,
}
