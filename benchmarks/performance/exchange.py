"""What it costs to move weights: Atoll beside the bare wire, and beside Flower and NVFlare.

Both ends run on this machine, each in a process of its own; CPU is that of all whole processes by
the operating system, memory that of the receiver. All arms alternate in every round; a figure is
the median of its rounds after one that warms up. One way:

- tcp: one socket, no name, no digest, no TLS;
- grpc: one stream of 1 MiB messages between generic handlers, no digest, no TLS; and with TLS;
- peer: an island fetches from another's memory: mutual TLS, BLAKE3 at both ends, resume;
- store: an island publishes to a hub's disk: the same, and fsync before it is bound;
- peer and store "without TLS and digests": the same code with both taken out, for this alone.

In a two-island round two islands give each other a fresh model, directly or through the hub. A peer
framework plays the same round between two clients and its server, in turn with ours, and the ratio
is that of neighbouring rounds. The first run with a peer makes an environment for it.

Whatever is ours, the bare wire too, has the allocator settings that Atoll's runtimes give their
processes; a peer runs as it starts itself.

A GB is 10^9 bytes, a MiB 2^20.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Final

import exchange_flower
import exchange_nvflare
import exchange_peers
from exchange_islands import BARE, Islands, Plain, Sample, Shape
from exchange_peers import Peer, Round
from figures import Figure, Target, median, parser, say, tell, worst

MIB: Final = 1 << 20
EMPTY_ROUNDS: Final = 200
BARE_WORDS: Final = "without TLS and digests"
_START: Final = {"Flower": exchange_flower.start, "NVFlare": exchange_nvflare.start}


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    large_bytes: int
    peers: Sequence[str]
    peers_folder: Path


def one_way(label: str, plan: Plan, shape: Shape) -> dict[str, list[Sample]]:
    """Every arm in every round, in an order that turns, after a round that warms up."""
    with ExitStack() as stack:
        say(f"{label}: starting")
        plain = Plain(stack, shape[0])
        ours, bare = Islands(stack), Islands(stack, BARE)
        arms: dict[str, Callable[[], Sample]] = {
            "tcp": plain.tcp,
            "grpc": plain.grpc,
            "grpc with TLS": plain.grpc_tls,
            f"peer {BARE_WORDS}": lambda: bare.peer(shape),
            "peer": lambda: ours.peer(shape),
            f"store {BARE_WORDS}": lambda: bare.store(shape),
            "store": lambda: ours.store(shape),
        }
        found: dict[str, list[Sample]] = {arm: [] for arm in arms}
        for number in range(plan.rounds + 1):
            say(f"{label}: round {number} of {plan.rounds}")
            turn = number % len(arms)
            for arm in [*arms][turn:] + [*arms][:turn]:
                found[arm].append(arms[arm]())
    return {arm: samples[1:] for arm, samples in found.items()}


def two_ways(label: str, plan: Plan, shape: Shape, peers: Sequence[Peer]) -> dict[str, list[Round]]:
    """Rounds of two islands, in turn with those of peers."""
    with ExitStack() as stack:
        ours = Islands(stack)
        arms: dict[str, Callable[[], Round]] = {
            "peer": lambda: ours.swap_directly(shape),
            "hub": lambda: ours.swap_through_hub(shape),
        }
        size, count = (0, 0) if shape[0] == 4 else shape
        for it in peers:
            arms[it.name] = lambda it=it: it.round(size, count)  # type: ignore[misc]
        found: dict[str, list[Round]] = {arm: [] for arm in arms}
        for number in range(plan.rounds + 1):
            say(f"{label}: round {number} of {plan.rounds}")
            for arm, play in arms.items():
                found[arm].append(play())
                if arm not in ("peer", "hub"):
                    say(f"{label}: {arm} took {found[arm][-1].seconds:.1f} s")
    return {arm: rounds[1:] for arm, rounds in found.items()}


def cost_figures(label: str, plan: Plan, shape: Shape) -> list[Figure]:
    """CPU and time of all arms, growth of ours."""
    samples = one_way(label, plan, shape)
    targets = shape[0] == 512 * MIB
    limits = {"peer": Target(1.1), "store": Target(1.5)} if targets else {}
    found = []
    for arm, them in samples.items():
        costs = [it.cpu_seconds / shape[0] * 1e9 for it in them]
        found.append(median(f"{label}: {arm}: CPU of both ends", costs, "s/GB", limits.get(arm)))
    naming = [it.offer_cpu_seconds / shape[0] * 1e9 for it in samples["peer"]]
    found.append(
        median(f"{label}: peer: of it to name the bytes, once for all readers", naming, "s/GB")
    )
    for arm, them in samples.items():
        found.append(median(f"{label}: {arm}: time", [it.seconds for it in them], "s"))
    growth = [it.growth_bytes / MIB for it in samples["peer"]]
    limit = Target(48) if targets else None
    return [*found, worst(f"{label}: peer: growth of the receiver, worst", growth, "MiB", limit)]


def round_figures(label: str, plan: Plan, shape: Shape, peers: Sequence[Peer]) -> list[Figure]:
    """Rounds of two islands, and how much faster they are than those of peers."""
    rounds = two_ways(label, plan, shape, peers)
    targets = shape[0] == 512 * MIB
    limits = {"peer": Target(1.7), "hub": Target(2.5)} if targets else {}
    found = []
    for arm, them in rounds.items():
        found.append(median(f"{label}: {arm}", [it.seconds for it in them], "s", limits.get(arm)))
    for arm, them in rounds.items():
        name = f"{label}: {arm}: CPU of all processes"
        found.append(median(name, [it.cpu_seconds for it in them], "s"))
    least = {("peer", "Flower"): 12.0, ("hub", "Flower"): 8.0} if targets else {}
    for arm in ("peer", "hub"):
        for peer in peers:
            pairs = zip(rounds[peer.name], rounds[arm], strict=True)
            ratios = [theirs.seconds / ours.seconds for theirs, ours in pairs]
            limit = least.get((arm, peer.name))
            target = None if limit is None else Target(limit, at_least=True)
            name = f"{label}: {arm}: times faster than {peer.name}"
            found.append(median(name, ratios, "x", target))
    return found


def small_figures(plan: Plan) -> list[Figure]:
    """The fixed costs: an empty round, and 10,000 tensors of 1 KiB."""
    label = "empty round through the hub"
    with ExitStack() as stack:
        say(f"{label}: {EMPTY_ROUNDS} rounds")
        islands = Islands(stack)
        empty = [islands.empty() * 1e3 for _ in range(EMPTY_ROUNDS + 5)][5:]
    p99 = statistics.quantiles(empty, n=100)[98]
    found = [
        Figure(f"{label}: median", statistics.median(empty), "ms", Target(10)),
        Figure(f"{label}: p99", p99, "ms", Target(60)),
    ]
    label = "10,000 tensors of 1 KiB"
    many = one_way(label, plan, (10_000 * 1024, 10_000))
    for arm in (f"peer {BARE_WORDS}", "peer"):
        limit = Target(0.1) if arm == "peer" else None
        offered, pulled = (
            [it.offer_seconds for it in many[arm]],
            [it.pull_seconds for it in many[arm]],
        )
        found.append(median(f"{label}: {arm}: offer", offered, "s"))
        found.append(median(f"{label}: {arm}: pull", pulled, "s", limit))
    return found


def empty_figures(plan: Plan, peers: Sequence[Peer]) -> list[Figure]:
    """An empty round beside peers, and one in which Flower asks as seldom as its strategies do."""
    found = round_figures("empty two-island round", plan, (4, 1), peers)
    for peer in peers:
        if peer.name == "Flower":
            name = "empty two-island round: Flower, polling as its strategies do"
            say(name)
            runs = [peer.round(0, 0, eager=False).seconds for _ in range(plan.rounds)]
            found.append(median(name, runs, "s"))
    return found


def swap_figures(plan: Plan) -> list[Figure]:
    """Two-island rounds: of the large payload, and of all sizes where there are peers."""
    with ExitStack() as stack:
        peers = []
        for name in plan.peers:
            say(f"starting {name}")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            peers.append(_START[name](stack, folder, plan.peers_folder))
        found = []
        if peers:
            found += empty_figures(plan, peers)
            for size in (8 * MIB, 64 * MIB):
                label = f"{size // MIB} MiB two-island round"
                found += round_figures(label, plan, (size, 8), peers)
        if not peers or plan.large_bytes > 64 * MIB:
            found += round_figures("two-island round", plan, (plan.large_bytes, 8), peers)
    return found


def measure(plan: Plan) -> list[Figure]:
    """Everything; with peers that takes minutes."""
    found = swap_figures(plan)
    for size, count, label in (
        (8 * MIB, 8, "8 MiB"),
        (64 * MIB, 1000, "64 MiB in 1,000 tensors"),
        (plan.large_bytes, 8, f"{plan.large_bytes // MIB} MiB in 8 tensors"),
    ):
        found += cost_figures(label, plan, (size, count))
    return found + small_figures(plan)


def options() -> argparse.Namespace:
    """What the user asked for."""
    asked = parser(__doc__, "64 MiB in place of 512, which have no targets, and 3 rounds")
    add = asked.add_argument
    add("--rounds", type=int, metavar="N", help="measured rounds of each arm (default: 7)")
    add("--strict", action="store_true", help="exit with 1 if a target is missed")
    add("--with-flower", action="store_true", help=f"beside Flower {exchange_flower.VERSION}")
    add("--with-nvflare", action="store_true", help=f"beside NVFlare {exchange_nvflare.VERSION}")
    add(
        "--peers-folder",
        type=Path,
        metavar="FOLDER",
        default=exchange_peers.default_folder(),
        help="where the environments of peers are made and kept (default: %(default)s)",
    )
    return asked.parse_args()


def stop(number: int, frame: FrameType | None) -> None:
    """Unwind, so that every process is ended."""
    del frame
    sys.exit(128 + number)


def main() -> None:
    """Measure, print, and write JSON where asked."""
    chosen = options()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    wanted = {"Flower": chosen.with_flower, "NVFlare": chosen.with_nvflare}
    plan = Plan(
        rounds=chosen.rounds or (3 if chosen.quick else 7),
        large_bytes=(64 if chosen.quick else 512) * MIB,
        peers=[name for name, it in wanted.items() if it],
        peers_folder=chosen.peers_folder,
    )
    versions = [f"{it} {version(it)}" for it in ("grpcio", "blake3", "torch")]
    versions += [f"Flower {exchange_flower.VERSION}"] if chosen.with_flower else []
    versions += [f"NVFlare {exchange_nvflare.VERSION}"] if chosen.with_nvflare else []
    before = os.getloadavg()[0]
    found = measure(plan)
    print(f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after", end=", ")
    print(f"{os.cpu_count()} cores, {', '.join(versions)}")
    tell(found, chosen.json)
    missed = [one.name for one in found if one.met is False]
    if missed and chosen.strict:
        raise SystemExit(f"{len(missed)} targets missed")


if __name__ == "__main__":
    main()
