"""Fault plans as data: what happens to whom, and when. Drawn from a seed, so each can be had again.

A moment is not a time: it is the n-th time that a process comes by a point, such as its third call of
`Bind`. A run without faults says which points there are; so every phase of every strategy is met.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

OPERATOR: Final = "operator"
HUB: Final = "hub"
TRAINING: Final = "step"
"""The point that a process comes by at each training step, and now and then while it waits."""
UNARY: Final = ("Missing", "Bind", "Hold", "Excuse", "Want", "Resolve", "Drop", "GetSnapshot")


@dataclass(frozen=True)
class Moment:
    """The n-th time, from 1, that a process comes by a point."""

    step: str
    point: str
    count: int

    def __str__(self) -> str:
        return f"{self.step} {self.point} {self.count}"


@dataclass(frozen=True)
class Fault:
    """One thing that happens.

    Attributes:
        kind: see `KINDS`.
        target: the step, `hub` or `operator`.
        at: when.
        seconds: how long, or how far; what that means depends on the kind.
        detail: a number drawn for it, such as which byte.
    """

    kind: str
    target: str
    at: Moment
    seconds: float = 0.0
    detail: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.target} at [{self.at}] for {self.seconds:g} s ({self.detail})"


@dataclass(frozen=True)
class FaultPlan:
    """What happens in one run."""

    seed: int
    strategy: str
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        return f"{self.strategy}, seed {self.seed}: {'; '.join(map(str, self.faults)) or 'nothing'}"

    def has(self, *kinds: str) -> bool:
        """Whether a fault of one of these kinds is planned."""
        return any(it.kind in kinds for it in self.faults)


Calendar = Mapping[tuple[str, str], int]
"""How often each process comes by each point, where nothing happens to it."""

KINDS: Final[Mapping[str, tuple[float, float]]] = {
    "kill": (0.0, 0.0),
    "doom": (0.0, 0.0),
    "evict": (0.0, 0.0),
    "freeze": (1.0, 40.0),
    "cut": (1.0, 60.0),
    "slow": (5.0, 60.0),
    "lose": (0.0, 0.0),
    "repeat": (0.0, 0.0),
    "late": (1.0, 60.0),
    "power": (0.0, 0.0),
    "full": (1.0, 40.0),
    "flip": (0.0, 0.0),
    "truncate": (0.0, 0.0),
    "clock": (-7200.0, 7200.0),
    "crash": (0.5, 20.0),
    "interrupt": (0.0, 0.0),
}
"""Each kind with the range of its seconds.

kill: SIGKILL. doom: SIGKILL again and again, until nobody starts it any more. evict: SIGTERM. freeze: SIGSTOP, and SIGCONT after the seconds. cut: no message from or to
it passes. slow: its messages take a second more. lose: the call is done, its answer lost. repeat: the
call comes twice. late: it comes again after the seconds, whoever made it lives or not. power: the hub's
machine loses its power at one of the next writes, `detail` says which and what of them is kept. full: the
hub's disk. flip, truncate: one file of the hub's store, while the hub is down. clock: the operator's goes
by so much. crash: the operator is killed, and started again after the seconds. interrupt: Ctrl-C, and the
same command again.
"""
_OF_CALLS: Final = ("lose", "repeat", "late")
_OF_HUB: Final = ("power", "full", "flip", "truncate")
_OF_OPERATOR: Final = ("crash", "clock", "interrupt")


def draw(seed: int, strategy: str, calendar: Calendar) -> FaultPlan:
    """A plan of one to three faults; the same for the same seed and calendar."""
    rng = random.Random(f"{seed} {strategy}")
    count = rng.choice((1, 1, 2, 2, 3))
    return FaultPlan(seed, strategy, tuple(_draw(rng, calendar) for _ in range(count)))


def _draw(rng: random.Random, calendar: Calendar) -> Fault:
    kind = rng.choice(sorted(KINDS))
    at = _moment(rng, calendar, UNARY if kind in _OF_CALLS else ())
    return Fault(
        kind,
        _target(rng, kind, at, calendar),
        at,
        round(rng.uniform(*KINDS[kind]), 2),
        rng.randrange(1 << 16),
    )


def _moment(rng: random.Random, calendar: Calendar, points: Sequence[str]) -> Moment:
    """Each kind of point of each process alike: a run has far more steps than binds."""
    among = sorted(it for it in calendar if not points or it[1] in points)
    step, point = rng.choice(among)
    return Moment(step, point, rng.randint(1, calendar[step, point]))


def _target(rng: random.Random, kind: str, at: Moment, calendar: Calendar) -> str:
    if kind in _OF_HUB:
        return HUB
    if kind in _OF_OPERATOR:
        return OPERATOR
    if kind in _OF_CALLS or (kind in ("cut", "slow") and at.step == OPERATOR):
        return at.step
    beside = sorted({step for step, _ in calendar if _phase(step) == _phase(at.step)} - {OPERATOR})
    if kind == "doom":
        return rng.choice([it for it in beside if it != HUB] or ["island-1"])
    near = (HUB, at.step) if at.step != OPERATOR else (HUB,)
    chosen: str = rng.choice((*near, *near, *beside))  # mostly whoever is concerned
    return chosen


def _phase(step: str) -> str:
    """Steps of one phase are at work at the same time."""
    return step if step in ("partition", "evaluate", OPERATOR) else "training"
