"""Fault plans for runs of real processes, as data: strategies, phases, kinds and targets, by a seed.

Their moments are what can be seen from outside: a process that is there, a training step at which an
island is held, a ref that is bound. A drawn delay follows, so that the same plan comes a little
earlier or later within its phase; what comes of it has to be the same.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jobs_of_faults import STRATEGIES
from plans import HUB, OPERATOR, TRAINING, Fault, FaultPlan, Moment

from atoll_api import names
from atoll_api.names import island_step

NURSERY: Final = "nursery"
"""The process that makes the workers."""
ISLANDS: Final = 3
STEPS: Final = 40
ROUND: Final = 10

BEGINS: Final = "begins"
"""The step's process is there."""
AWAITED: Final = "awaited"
"""An island is held at its n-th training step until another says that it waits for it."""
SAVES: Final = "saves"
"""It was held for so long that it saves a checkpoint, and is let go."""
LEAVES: Final = "leaves"
"""It was held at its n-th training step, and is let go."""
BOUND: Final = "bound"
"""What the step writes is bound."""
HELD: Final = (TRAINING, AWAITED, SAVES, LEAVES)
"""Points at which the step is held."""


@dataclass(frozen=True)
class Phase:
    """A part of a run.

    Attributes:
        step: whose moment it is; `island` is one of them.
        point: of its moment.
        targets: to whom something happens then; `other` is another island.
        where: the strategies that have it.
    """

    step: str
    point: str
    targets: Sequence[str]
    where: Sequence[str] = tuple(STRATEGIES)


ENSEMBLES: Final = tuple(it for it in STRATEGIES if it in ("ensemble", "delta"))
MERGING: Final = tuple(it for it in STRATEGIES if it not in ENSEMBLES)

PHASES: Final[Mapping[str, Phase]] = {
    "starting": Phase(HUB, BEGINS, (HUB, OPERATOR, NURSERY)),
    "partitioning": Phase(names.PARTITION, BEGINS, (names.PARTITION, HUB, OPERATOR)),
    "training": Phase("island", TRAINING, ("island", "other", HUB, OPERATOR, NURSERY)),
    "saving": Phase("island", SAVES, ("island", HUB, OPERATOR)),
    "meeting": Phase("island", AWAITED, ("island", "other", HUB, names.MERGE), MERGING),
    "publishing": Phase("island", LEAVES, ("island", HUB, OPERATOR)),
    "routing": Phase(names.ROUTER, BEGINS, (names.ROUTER, HUB), ENSEMBLES),
    "merging": Phase("island", BOUND, (names.MERGE, "island", HUB), MERGING),
    "evaluating": Phase(names.EVALUATE, BEGINS, (names.EVALUATE, HUB, OPERATOR)),
    "ending": Phase(names.EVALUATE, BOUND, (HUB, OPERATOR)),
}
"""In the order in which a run comes by them."""

_STEPS: Final = ("island", "other", names.PARTITION, names.ROUTER, names.MERGE, names.EVALUATE)
_LATE: Final = ("training", "saving", "publishing", "evaluating", "ending")
FILES: Final = (
    "packs",
    "refs",
    "checkpoint",
    "progress.json",
    "totals.json",
    "status.json",
    "job.json",
    "report.json",
)
"""What can be damaged between a kill and the next run."""
_THERE: Final = {"checkpoint": "saving", "report.json": "ending"}
"""Phases in which a file is sure to be there, where that is not in all of them."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        targets: to whom it happens.
        seconds: the range of how long.
        delay_ms: the most that it comes after its moment.
        phases: where it makes sense.
    """

    targets: Sequence[str]
    seconds: tuple[float, float] = (0.0, 0.0)
    delay_ms: int = 300
    phases: Sequence[str] = tuple(PHASES)


KINDS: Final[Mapping[str, Kind]] = {
    "kill": Kind((*_STEPS, HUB, NURSERY)),
    "freeze": Kind((*_STEPS, HUB, OPERATOR), (1.0, 6.0)),
    "evict": Kind(_STEPS),
    "crash": Kind((OPERATOR,)),
    "interrupt": Kind((OPERATOR,)),
    "terminate": Kind((OPERATOR,)),
    "cut": Kind((HUB,), (1.0, 6.0)),
    "reset": Kind((HUB,), phases=("training", "saving", "meeting", "publishing")),
    "slow": Kind((HUB,), (3.0, 8.0)),
    "full": Kind((HUB,), (2.0, 5.0), phases=_LATE),
    "flip": Kind((OPERATOR,), phases=_LATE),
    "truncate": Kind((OPERATOR,), phases=_LATE),
    "doom": Kind(("island",), phases=("training", "meeting")),
}
"""kill: SIGKILL. freeze: SIGSTOP, and SIGCONT after the seconds. evict: SIGTERM to a step. crash,
interrupt, terminate: SIGKILL, SIGINT, SIGTERM to `atoll run`, and the same command again. cut: no packet
passes for the seconds. reset: every connection is. slow: 200 kbit/s for the seconds. full: the disk of the
run, for the seconds. flip, truncate: `atoll run` is killed, one file altered, and run again; `target`
says which file. doom: an island that may not be started again is killed.
"""
DAMAGE: Final = ("flip", "truncate")
NEEDS_ROOT: Final = ("cut", "reset", "slow", "full")

_TENS: Final = (
    ("kill", "freeze", "evict", "crash", "cut", "flip", "kill", "interrupt", "truncate", "doom"),
    ("kill", "freeze", "kill", "terminate", "reset", "truncate", "evict", "kill", "full", "flip"),
    ("kill", "freeze", "evict", "crash", "slow", "flip", "kill", "interrupt", "truncate", "doom"),
    ("kill", "freeze", "kill", "terminate", "cut", "truncate", "evict", "freeze", "full", "flip"),
)
_DECK: Final = tuple(it for ten in _TENS for it in ten)
"""The kinds of plans 0 to 39, so that none is left to chance."""
COUNT: Final = len(_DECK)
_SET: Final = {22: ("routing", names.ROUTER)}
"""A phase that few strategies have, and that no turn meets."""


def draw(seed: int) -> FaultPlan:
    """The plan of a seed."""
    rng = random.Random(f"real processes {seed}")
    kind = _DECK[seed % COUNT]
    strategy = list(STRATEGIES)[seed % len(STRATEGIES)]
    uses = seed // COUNT * _DECK.count(kind) + _DECK[: seed % COUNT].count(kind)
    name, target = _SET.get(seed) or _turn(strategy, kind, uses)
    first = _fault(rng, kind, name, target)
    faults = [first]
    if kind not in (*DAMAGE, "doom", "full") and rng.random() < 0.25:
        later = _after(first, strategy)
        if later:
            faults.append(_fault(rng, "kill", *rng.choice(later)))
    return FaultPlan(seed, strategy, tuple(faults))


def phase_of(fault: Fault) -> str:
    """The name of the phase of a fault that `draw` has drawn."""
    step = "island" if fault.at.step.startswith("island") else fault.at.step
    (name,) = [n for n, it in PHASES.items() if (it.step, it.point) == (step, fault.at.point)]
    return name


def _turn(strategy: str, kind: str, uses: int) -> tuple[str, str]:
    """Phase and target of the n-th plan of a kind: each target once, before one comes again."""
    pairs = _pairs(kind)
    random.Random(kind).shuffle(pairs)
    before = [[other for _, other in pairs[:i]] for i in range(len(pairs))]
    order = sorted(range(len(pairs)), key=lambda i: before[i].count(pairs[i][1]))
    pairs = [pairs[i] for i in order]
    possible = [it for it in pairs if strategy in PHASES[it[0]].where]
    if kind in DAMAGE:  # rather each file than each phase
        file = FILES[(uses + len(FILES) // 2 * DAMAGE.index(kind)) % len(FILES)]
        possible = [it for it in possible if it[1] == file]
    return possible[uses % len(possible)]


def _pairs(kind: str) -> list[tuple[str, str]]:
    """All phases in which a kind can happen, each with all to whom."""
    if kind in DAMAGE:
        phases = KINDS[kind].phases
        return [(n, it) for n in phases for it in FILES if _THERE.get(it, n) == n]
    targets = KINDS[kind].targets
    return [(n, it) for n in KINDS[kind].phases for it in PHASES[n].targets if it in targets]


def _after(first: Fault, strategy: str) -> list[tuple[str, str]]:
    """Later phases in which no island has to be held a second time."""
    order = list(PHASES)
    later = order[order.index(phase_of(first)) + 1 :]
    return [
        (name, target)
        for name, target in _pairs("kill")
        if name in later and PHASES[name].point not in HELD and strategy in PHASES[name].where
    ]


def _fault(rng: random.Random, kind: str, name: str, target: str) -> Fault:
    phase = PHASES[name]
    island = rng.randrange(ISLANDS)
    other = (island + rng.randint(1, ISLANDS - 1)) % ISLANDS
    known = {"island": island_step(island), "other": island_step(other)}
    return Fault(
        kind,
        known.get(target, target),
        Moment(known.get(phase.step, phase.step), phase.point, _count(rng, phase.point)),
        round(rng.uniform(*KINDS[kind].seconds), 2),
        rng.randrange(KINDS[kind].delay_ms),
    )


def _count(rng: random.Random, point: str) -> int:
    """Which training step: within a round, or the last."""
    if point == LEAVES:
        return STEPS
    return rng.randrange(1, STEPS) if point in HELD else 1
