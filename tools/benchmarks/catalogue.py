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
_SLOW_DAY: Final = (
    "The host was slow that day: bare gRPC and bare loops took twice their time of others."
)

_MEAN: Final = (
    "A mean is little arithmetic. Atoll reads as much, and also digests all that it reads and writes and "
    "syncs what it writes; mergekit does neither. What is left is its memory, and its start. An older "
    "ratio beyond the target was of a mergekit that compiled its packages at each start."
)

BENCHMARKS: Final[tuple[Benchmark, ...]] = (
    Benchmark(
        "exchange",
        f"{_PERFORMANCE}/exchange.py",
        "Moving weights, beside Flower and NVFlare",
        "Both ends in processes of their own, mutual TLS, every byte checked against its digest. Rounds of "
        "the peers and of Atoll alternate in one run; a ratio is theirs by ours.",
        ("--with-flower", "--with-nvflare"),
        minutes=22,
        missed={
            "two-island round: hub": "Four models pass the hub's core, twice each under TLS, and its disk "
            f"with fsync. Islands that reach each other do without it. {_SLOW_DAY}",
            "512 MiB in 8 tensors: peer: CPU of both ends": "Out of reach by this wire: gRPC with TLS, "
            "without a check of any byte, took more in the same run (`grpc with TLS`), and BLAKE3 at both "
            f"ends comes to it. An `exchange.encoding` saves more than another wire would. {_SLOW_DAY}",
            "512 MiB in 8 tensors: store: CPU of both ends": "As above, and the bytes are written and "
            f"synced: without TLS and digests it takes more than the target too. {_SLOW_DAY}",
            "two-island round: peer": f"Two models under TLS and two digests each, on two cores. {_SLOW_DAY}",
            "empty round through the hub: median": "Python's gRPC, call by call: nothing of it waits. "
            f"{_SLOW_DAY}",
            "10,000 tensors of 1 KiB: peer: pull": "Python, tensor by tensor: the arm without TLS and "
            "digests takes as long. Models have tens to hundreds of tensors.",
        },
    ),
    Benchmark(
        "merge",
        f"{_PERFORMANCE}/merge.py",
        "Merging files, beside mergekit",
        "Four models of 0.67 B parameters, turn by turn, by both command lines.",
        minutes=25,
        needs="12 GB of disk",
        missed={
            "mean: times faster": _MEAN,
            "mean: times faster, both without their start": _MEAN,
        },
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
        minutes=7,
        missed={"ready: median": f"The CPU of Python's imports (see above). {_SLOW_DAY}"},
    ),
    Benchmark(
        "hub_progress",
        f"{_PERFORMANCE}/hub_progress.py",
        "The hub of a thousand islands",
        "All report how far they are while the operator asks, beside rounds of few that report as often.",
        minutes=4,
    ),
    Benchmark(
        "store",
        f"{_PERFORMANCE}/store.py",
        "The store",
        "Writing and reading artifacts with every fsync.",
        minutes=3,
    ),
    Benchmark(
        "codec_costs",
        f"{_PERFORMANCE}/codec_costs.py",
        "What an encoding costs",
        "Encoding and decoding of weights, what they save, what they lose.",
        minutes=2,
    ),
    Benchmark(
        "encoding_quality",
        f"{_SCIENCE}/encoding_quality.py",
        "What an encoding does to models",
        "A finished run, rounded as each encoding would and evaluated anew with the same noise.",
        minutes=2,
        needs="a finished run (`make demo`)",
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
        minutes=13,
        needs="the test cluster's programs (docs/test-cluster.md)",
        missed={
            "burst: submit to first Job": "The API server, which shares the two cores, is used up: a job takes "
            "26 requests before it trains, 11 of them the operator's. By its own CPU a job, a core of the "
            "operator would carry three times as many where the API server has its own machine.",
        },
    ),
    Benchmark(
        "operator_wide",
        f"{_PERFORMANCE}/operator_load.py",
        "One job of 2,000 islands",
        "Each a Job of its own, against a real API server; nodes and hubs are simulated.",
        ("--arm", "wide", "--islands", "2000"),
        minutes=5,
        needs="the test cluster's programs (docs/test-cluster.md)",
    ),
    Benchmark(
        "operator_metrics",
        f"{_PERFORMANCE}/operator_metrics.py",
        "What metrics cost the operator",
        "A scrape, and a pass over a large job, with the series of objects and without.",
        minutes=2,
    ),
    Benchmark(
        "object_sizes",
        f"{_PERFORMANCE}/object_sizes.py",
        "How large the objects of a job become",
        "The worst that the operator writes, against what a cluster takes.",
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
        ("--processes", "2"),
        minutes=7,
    ),
    Benchmark(
        "cbtm_stdlib",
        f"{_SCIENCE}/cbtm_stdlib.py",
        "Experts that never meet: language",
        "A mixture of experts on text clusters, beside a dense model, and controls.",
        ("--processes", "2"),
        minutes=7,
    ),
    Benchmark(
        "dimat_digits",
        f"{_SCIENCE}/dimat_digits.py",
        "One merge of networks that began apart",
        "DIMAT's first merge: with units matched, beside plain averaging, on two graphs.",
        minutes=4,
    ),
    Benchmark(
        "single_merge_digits",
        f"{_SCIENCE}/single_merge_digits.py",
        "One merge at the end",
        "Rare gossip and one merge, beside averaging every round, and a control without gossip.",
        ("--processes", "2"),
        minutes=8,
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
HEADLINES: Final = (
    Headline(
        "exchange",
        "two-island round: hub: times faster than Flower",
        "Two islands give each other 512 MiB through the hub **{value} times as fast as through Flower** "
        "({low} to {high}), with mutual TLS, digests and fsync, of which it had none.",
    ),
    Headline(
        "merge",
        "ties: times faster",
        "`atoll merge` makes a TIES merge of four models of 0.67 B parameters **{value} times as fast as "
        "mergekit** ({low} to {high}; more where both compute in float32), in tens of megabytes.",
    ),
    Headline(
        "step_overhead",
        "island step / bare torch step",
        "A training step of an island takes **{value} of what it takes in a bare torch loop** ({low} to {high}).",
    ),
    Headline(
        "ddm_digits",
        "FD(Full) / FD(baseline), to training",
        "Four diffusion experts that never met come to a Frechet distance of **{value} of that of one model** "
        "with the same training FLOPs ({low} to {high}).",
    ),
    Headline(
        "dimat_digits",
        "IID, ring: aligned less plain",
        "Networks that began apart, matched before they are averaged, end **{value} points of accuracy "
        "above plain averaging** ({low} to {high}).",
    ),
)
"""What the README shows, in order."""


def find(name: str) -> Benchmark:
    """The one of this name.

    Raises:
        KeyError: there is none.
    """
    return {it.name: it for it in BENCHMARKS}[name]
