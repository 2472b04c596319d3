"""Which benchmarks there are, what each is for, and why a target is missed where one is. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Benchmark:
    """One script and what the page says of it.

    Attributes:
        name: of its file of results.
        script: from the root of the repository.
        title: a heading.
        about: a sentence or two: what is compared with what.
        arguments: behind the script.
        minutes: that it takes on two cores, about.
        needs: what has to be there, if that is more than Python.
        missed: by the name of a figure that misses its target: why, and what would change it.
    """

    name: str
    script: str
    title: str
    about: str
    arguments: tuple[str, ...] = ()
    minutes: int = 1
    needs: str = ""
    missed: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """What a person types, beside the environment of `make setup`."""
        return " ".join((".venv/bin/python", self.script, *self.arguments))


@dataclass(frozen=True)
class Headline:
    """A figure that the README shows."""

    benchmark: str
    figure: str
    words: str
    """With `{value}`, and `{low}` and `{high}` of its runs."""


_PERFORMANCE: Final = "benchmarks/performance"
_SCIENCE: Final = "benchmarks/science"

BENCHMARKS: Final[tuple[Benchmark, ...]] = (
    Benchmark(
        "exchange",
        f"{_PERFORMANCE}/exchange.py",
        "Moving weights, beside Flower and NVFlare",
        "Both ends in processes of their own, mutual TLS, every byte checked against its digest. Rounds of "
        "the peers and of Atoll alternate in one run; a ratio is theirs by ours.",
        ("--with-flower", "--with-nvflare"),
        minutes=20,
    ),
    Benchmark(
        "merge",
        f"{_PERFORMANCE}/merge.py",
        "Merging files, beside mergekit",
        "Four models of 0.67 B parameters, turn by turn, by both command lines.",
        minutes=8,
        needs="12 GB of disk",
    ),
    Benchmark(
        "step_overhead",
        f"{_PERFORMANCE}/step_overhead.py",
        "A training step, beside a bare torch loop",
        "What an island does beside the arithmetic: seeds, a loss curve, checks, reports.",
        minutes=3,
    ),
    Benchmark(
        "hub",
        f"{_PERFORMANCE}/hub.py",
        "The hub",
        "Time to be ready; memory idle, with watches, with publishers and with islands that report.",
        minutes=5,
    ),
    Benchmark(
        "store",
        f"{_PERFORMANCE}/store.py",
        "The store",
        "Writing and reading artifacts with every fsync.",
        minutes=3,
    ),
    Benchmark(
        "alignment",
        f"{_PERFORMANCE}/alignment.py",
        "Aligning networks",
        "CPU of one alignment in percent of the round before it.",
        minutes=4,
    ),
    Benchmark(
        "metrics",
        f"{_PERFORMANCE}/metrics.py",
        "What counting costs",
        "A training step and the memory of processes, with metrics and without, interleaved.",
        minutes=6,
    ),
    Benchmark(
        "plan_time",
        f"{_PERFORMANCE}/plan_time.py",
        "Planning, by the number of islands",
        "One pass of the pure brain, and its exponent in the number of islands.",
        minutes=3,
    ),
    Benchmark(
        "operator_load",
        f"{_PERFORMANCE}/operator_load.py",
        "The operator under load",
        "A real API server with an audit log; nodes and hubs are simulated.",
        minutes=20,
        needs="the test cluster's programs (docs/test-cluster.md)",
    ),
    Benchmark(
        "soak",
        f"{_PERFORMANCE}/soak.py",
        "Two hours of jobs in a row",
        "One operator and one hub: what grows.",
        minutes=125,
        needs="the test cluster's programs (docs/test-cluster.md)",
    ),
    Benchmark(
        "ddm_digits",
        f"{_SCIENCE}/ddm_digits.py",
        "Experts that never meet: diffusion",
        "An ensemble of four, beside one model with the same training FLOPs, and controls.",
        minutes=12,
    ),
    Benchmark(
        "cbtm_stdlib",
        f"{_SCIENCE}/cbtm_stdlib.py",
        "Experts that never meet: language",
        "A mixture of experts on text clusters, beside a dense model, and controls.",
        minutes=12,
    ),
    Benchmark(
        "dimat_digits",
        f"{_SCIENCE}/dimat_digits.py",
        "Merging in rounds",
        "Aligned merges beside plain averaging, on two graphs.",
        minutes=4,
    ),
    Benchmark(
        "single_merge_digits",
        f"{_SCIENCE}/single_merge_digits.py",
        "One merge at the end",
        "Rare gossip and one merge, beside averaging every round, and a control without gossip.",
        minutes=3,
    ),
    Benchmark(
        "diloco_digits",
        f"{_SCIENCE}/diloco_digits.py",
        "An outer optimizer",
        "DiLoCo beside plain averaging.",
        minutes=2,
    ),
)
PEERS: Final = ("exchange", "merge", "step_overhead")
"""Those in which something else runs beside Atoll."""
HEADLINES: Final[tuple[Headline, ...]] = ()
"""What the README shows, in order."""


def find(name: str) -> Benchmark:
    """The one of this name.

    Raises:
        KeyError: there is none.
    """
    return {it.name: it for it in BENCHMARKS}[name]
