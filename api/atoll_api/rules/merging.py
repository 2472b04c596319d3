"""Rules of the strategies that merge weights."""

from collections.abc import Iterator

from atoll_api import graphs
from atoll_api.rules.finding import Finding
from atoll_api.spec.evaluation import Evaluation
from atoll_api.spec.job import TrainingJobSpec
from atoll_api.spec.merging import Gossip, IterativeMerge, SingleMerge, Topology
from atoll_api.spec.training import Ema

_ITERATIVE, _SINGLE = "strategy.iterativeMerge", "strategy.singleMerge"
_MOST_RECORDS = 50_000
"""One listing of a hub carries about twice as many refs."""
_ENOUGH_GOSSIP = 0.05
"""Below it a final merge lost ten points on digits (docs/results.md)."""


def violations(spec: TrainingJobSpec) -> Iterator[Finding]:
    """What cannot work."""
    iterative, single = spec.strategy.iterative_merge, spec.strategy.single_merge
    if iterative is None and single is None:
        return
    yield from _unused(spec)
    if spec.islands.count == 1:
        yield Finding(
            "islands.count", "one island has nobody to merge with", "say 2 or more islands"
        )
        return
    if iterative is not None:
        yield from _topology(iterative.topology, spec.islands.count)
        yield from _rounds(spec, _ITERATIVE, _first(iterative), iterative.steps_per_round)
        rounds = spec.training.steps // iterative.steps_per_round
        yield from _records(spec, _ITERATIVE, rounds, 1.0)
        yield from _outer(spec, iterative)
    if single is not None:
        every = single.gossip.steps_per_round
        yield from _rounds(spec, f"{_SINGLE}.gossip", every, every)
        rate = max(
            single.gossip.peers_per_round,
            *(it.peers_per_round for it in single.gossip.windows),
            0.0,
        )
        yield from _records(spec, f"{_SINGLE}.gossip", spec.training.steps // every, rate)
        yield from _windows(single.gossip)
        yield from _mergeable(single)


def warnings(spec: TrainingJobSpec) -> Iterator[Finding]:
    """What works and is probably not wanted."""
    single = spec.strategy.single_merge
    if single is not None and single.gossip.peers_per_round < _ENOUGH_GOSSIP:
        yield Finding(
            f"{_SINGLE}.gossip.peersPerRound",
            f"{single.gossip.peers_per_round:g} is rare: models that hardly ever meet merge badly",
            "say 0.15 or more",
        )
    iterative = spec.strategy.iterative_merge
    if iterative is None:
        return
    shared, align = iterative.initialization == "Shared", iterative.align
    if shared and align is not None and align.when != "Never":
        yield Finding(
            f"{_ITERATIVE}.align",
            "weights that began alike are in one basis already: to align them can only hurt",
            "leave it out, or say initialization: Independent",
        )
    if not shared and iterative.alignment.when == "Never":
        yield Finding(
            f"{_ITERATIVE}.align.when",
            "weights that began apart and are never aligned average to nothing of use",
            "say FirstMerge, or initialization: Shared",
        )


def _first(iterative: IterativeMerge) -> int:
    return iterative.first_round_steps or iterative.steps_per_round


def _unused(spec: TrainingJobSpec) -> Iterator[Finding]:
    why = f"has no effect with {spec.strategy.type}"
    if spec.training.ema != Ema():
        yield Finding("training.ema", f"{why}: the weights themselves are merged", "leave it out")
    if spec.evaluation.strategies != Evaluation().strategies:
        yield Finding("evaluation.strategies", f"{why}: there is one model", "leave it out")


def _topology(topology: Topology, count: int) -> Iterator[Finding]:
    field = f"{_ITERATIVE}.topology"
    if topology.type in ("Ring", "Torus", "Exponential") and count < 3:
        yield Finding(
            f"{field}.type",
            f"a {topology.type} of {count} islands is none",
            "say FullyConnected",
        )
        return
    if topology.edges is None:
        return  # a graph with a name is in one piece
    wrong = False
    for finding in _listed(topology, count):
        wrong = True
        yield finding
    parts = graphs.components(graphs.edges(topology, count), count) if not wrong else ()
    if len(parts) > 1:
        lone = ", ".join(map(str, parts[1][:8]))
        yield Finding(
            f"{field}.edges",
            f"the graph falls apart: island {lone} is not reached from island 0",
            "add an edge between the parts",
        )


def _listed(topology: Topology, count: int) -> Iterator[Finding]:
    seen: set[graphs.Edge] = set()
    for number, pair in enumerate(topology.edges.pairs if topology.edges else ()):
        field = f"{_ITERATIVE}.topology.edges.pairs[{number}]"
        told = f"[{', '.join(map(str, pair))}]"
        if len(pair) != 2 or pair[0] == pair[1]:
            yield Finding(field, f"{told} is no pair of two islands", "say [0, 1]")
        elif not all(0 <= island < count for island in pair):
            hint = f"islands are 0 to {count - 1}"
            yield Finding(field, f"{told} names an island that there is not", hint)
        elif (edge := (min(pair), max(pair))) in seen:
            yield Finding(field, f"{told} stands twice", "name each pair once, in either order")
        else:
            seen.add(edge)


def _rounds(spec: TrainingJobSpec, field: str, first: int, every: int) -> Iterator[Finding]:
    steps = spec.training.steps
    if first > steps:
        yield Finding(
            "training.steps",
            f"{steps} steps end before the first round, which takes {first}",
            f"say {first} or more, or shorten the rounds",
        )
    elif (steps - first) % every:
        near = first + round((steps - first) / every) * every
        yield Finding(
            "training.steps",
            f"{steps} steps are no whole number of rounds ({field}.stepsPerRound is {every})",
            f"say {near}",
        )


def _records(spec: TrainingJobSpec, field: str, rounds: int, rate: float) -> Iterator[Finding]:
    records = round(rounds * spec.islands.count * rate)
    if records > _MOST_RECORDS:
        yield Finding(
            f"{field}.stepsPerRound",
            f"{rounds} rounds of {spec.islands.count} islands are {records} merges to keep record "
            f"of, more than {_MOST_RECORDS}",
            "make the rounds longer",
        )


def _outer(spec: TrainingJobSpec, iterative: IterativeMerge) -> Iterator[Finding]:
    if iterative.mix.type != "OuterNesterov":
        return
    if iterative.topology.type != "FullyConnected":
        yield Finding(
            f"{_ITERATIVE}.mix",
            "OuterNesterov needs every island's weights each round",
            "say topology: {type: FullyConnected}",
        )
    if spec.exchange.encoding in ("Int8", "BFloat16"):
        yield Finding(
            "exchange.encoding",
            f"{spec.exchange.encoding} rounds away the small changes that OuterNesterov averages",
            "say Delta or Float16",
        )
    if iterative.initialization != "Shared":
        yield Finding(
            f"{_ITERATIVE}.initialization",
            "OuterNesterov averages changes from weights that all islands share",
            "say Shared",
        )


def _windows(gossip: Gossip) -> Iterator[Finding]:
    for number, window in enumerate(gossip.windows):
        if window.start >= window.end:
            yield Finding(
                f"{_SINGLE}.gossip.windows[{number}]",
                f"begins at {window.start:g} and ends at {window.end:g}",
                "let it end after it begins",
            )


def _mergeable(single: SingleMerge) -> Iterator[Finding]:
    rates = (single.gossip.peers_per_round, *(it.peers_per_round for it in single.gossip.windows))
    if single.initialization == "Independent" and not any(rates):
        yield Finding(
            f"{_SINGLE}.initialization",
            "weights that began apart and never met average to nothing of use",
            "say Shared, or gossip.peersPerRound: 0.15",
        )
