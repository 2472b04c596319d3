"""What it costs to move weights: Atoll with mutual TLS and digests beside the bare wire.

Both ends run on this machine, each in a process of its own; CPU is that of both whole processes
by the operating system, memory that of the receiver. All arms alternate in every round; a figure
is the median of its rounds. Arms:

- tcp: one socket, no name, no digest, no TLS;
- grpc: one stream of 1 MiB messages between generic handlers, no digest, no TLS;
- peer: an island fetches from another's memory: mutual TLS, BLAKE3 at both ends, resume;
- store: an island publishes to a hub's disk: the same, and fsync before it is bound.

A GB is 10^9 bytes, a MiB 2^20.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from atoll_api.names import Process
from atoll_operator.identity import Authority
from atoll_operator.local.environment import hub_environment

JOB: Final = "benchmark"
MIB: Final = 1 << 20
ENDS: Final = Path(__file__).with_name("exchange_ends.py")
EMPTY_ROUNDS: Final = 200

Answer = dict[str, Any]
Figure = dict[str, object]


class End:
    """One process of `exchange_ends.py`."""

    def __init__(self, order: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(ENDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=hub_environment(os.environ),
        )
        self._write(order)

    def __call__(self, *command: object) -> Answer:
        """Send a command and wait for its answer."""
        self._write(command)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"an end died at {command[0]}: see above")
        answer: Answer = json.loads(line)
        return answer

    def cpu(self) -> float:
        """CPU seconds of the process so far."""
        return float(self("cpu")["cpu"])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _write(self, document: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()


@dataclass
class Runs:
    """What the rounds of one arm measured."""

    cpu_per_gb: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    growth_mib: list[float] = field(default_factory=list)

    def add(self, size_bytes: int, cpu: float, seconds: float, growth: int) -> None:
        """One round."""
        self.cpu_per_gb.append(cpu / size_bytes * 1e9)
        self.seconds.append(seconds)
        self.growth_mib.append(growth / MIB)


@contextmanager
def ends(folder: str) -> Iterator[tuple[End, End, End]]:
    """Two islands, each serving its memory, and a hub over a folder."""
    authority = Authority(JOB, datetime.now(UTC))
    papers = {}
    for role in ("hub", "island", "evaluate"):
        it = authority.issue(Process(JOB, role))
        pem = {"certificate": it.certificate, "key": it.key, "authority": it.authority}
        papers[role] = {key: content.decode() for key, content in pem.items()}
    with ExitStack() as stack:
        made = [End([papers, store]) for store in ("", "", folder)]
        for end in made:
            stack.callback(end.close)
        yield made[0], made[1], made[2]


def bare_round(sender: End, receiver: End, address: str, arm: str, size: int, runs: Runs) -> None:
    """One transfer over a bare wire."""
    before = sender.cpu()
    answer = receiver(arm, address, size)
    runs.add(size, sender.cpu() - before + answer["cpu"], answer["wall"], answer["growth"])


def peer_round(one: End, two: End, address: str, shape: tuple[int, int], runs: Runs) -> None:
    """A fresh artifact from one island's memory into the other's."""
    offered = one("offer", *shape)
    before = one.cpu()
    answer = two("pull", address, *shape)
    spent = offered["cpu"] + one.cpu() - before + answer["cpu"]
    runs.add(shape[0], spent, offered["wall"] + answer["wall"], answer["growth"])


def store_round(one: End, hub: End, address: str, shape: tuple[int, int], runs: Runs) -> str:
    """A fresh artifact from an island's memory onto the hub's disk; its ref."""
    before = hub.cpu()
    answer = one("publish", address, *shape)
    runs.add(shape[0], hub.cpu() - before + answer["cpu"], answer["wall"], answer["growth"])
    return str(answer["ref"])


def one_way(rounds: int, shape: tuple[int, int]) -> dict[str, Runs]:
    """Every arm in every round, after one that warms up."""
    size = shape[0]
    runs = {arm: Runs() for arm in ("tcp", "grpc", "peer", "store")}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        one, two, hub = stack.enter_context(ends(folder))
        plain, receiver = End(None), End(None)
        stack.callback(plain.close)
        stack.callback(receiver.close)
        bare = plain("serve", size)
        peer, store = one("serve")["address"], hub("serve")["address"]
        for number in range(rounds + 1):
            if number == 1:
                runs = {arm: Runs() for arm in runs}
            bare_round(plain, receiver, bare["tcp"], "tcp", size, runs["tcp"])
            bare_round(plain, receiver, bare["grpc"], "grpc", size, runs["grpc"])
            peer_round(one, two, peer, shape, runs["peer"])
            one("drop", store, store_round(one, hub, store, shape, runs["store"]))
    return runs


def both_ways(rounds: int, shape: tuple[int, int]) -> dict[str, list[float]]:
    """Seconds of rounds in which two islands give each other a fresh artifact."""
    seconds: dict[str, list[float]] = {"peer": [], "hub": []}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        one, two, hub = stack.enter_context(ends(folder))
        pool = stack.enter_context(ThreadPoolExecutor(2))
        addresses = [end("serve")["address"] for end in (one, two)]
        store = hub("serve")["address"]
        for _ in range(rounds + 1):
            began = time.perf_counter()
            list(pool.map(lambda end: end("offer", *shape), (one, two)))
            list(pool.map(lambda end, at: end("pull", at, *shape), (two, one), addresses))
            seconds["peer"].append(time.perf_counter() - began)
            began = time.perf_counter()
            refs = list(pool.map(lambda end: end("publish", store, *shape)["ref"], (one, two)))
            list(pool.map(lambda end, ref: end("fetch", store, ref, *shape), (two, one), refs))
            seconds["hub"].append(time.perf_counter() - began)
            for ref in refs:
                one("drop", store, ref)
    return {name: values[1:] for name, values in seconds.items()}


def empty_rounds(rounds: int) -> list[float]:
    """Milliseconds of publishing four bytes to a hub, with fsync, and fetching them."""
    with tempfile.TemporaryDirectory() as folder, ends(folder) as (one, _, hub):
        store = hub("serve")["address"]
        found = []
        for _ in range(rounds + 5):
            published = one("publish", store, 4, 1)
            fetched = one("fetch", store, published["ref"], 4, 1)
            found.append((published["wall"] + fetched["wall"]) * 1e3)
    return found[5:]


def figure(
    name: str, value: float, unit: str, target: float | None, runs: Sequence[float]
) -> Figure:
    """A figure, with whether its target is met."""
    met = None if target is None else value <= target
    rounded = [round(run, 4) for run in runs]
    return {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "target": target,
        "met": met,
        "runs": rounded,
    }


def cost_figures(label: str, runs: dict[str, Runs], *, targets: bool) -> list[Figure]:
    """CPU of all arms, time and growth of ours."""
    limits = {"peer": 1.1, "store": 1.5} if targets else {}
    found = [
        figure(
            f"{label}: {arm}: CPU of both ends",
            statistics.median(it.cpu_per_gb),
            "s/GB",
            limits.get(arm),
            it.cpu_per_gb,
        )
        for arm, it in runs.items()
    ]
    for arm, it in runs.items():
        middle = statistics.median(it.seconds)
        found.append(figure(f"{label}: {arm}: time", middle, "s", None, it.seconds))
    growth = runs["peer"].growth_mib
    limit = 48 if targets else None
    name = f"{label}: peer: growth of the receiver, worst"
    return [*found, figure(name, max(growth), "MiB", limit, growth)]


def round_figures(seconds: dict[str, list[float]], *, targets: bool) -> list[Figure]:
    """Rounds of two islands."""
    limits = {"peer": 1.7, "hub": 2.5} if targets else {}
    return [
        figure(f"two-island round: {name}", statistics.median(runs), "s", limits.get(name), runs)
        for name, runs in seconds.items()
    ]


def small_figures(rounds: int) -> list[Figure]:
    """The fixed costs: an empty round, and 10,000 tensors of 1 KiB."""
    empty = empty_rounds(EMPTY_ROUNDS)
    many = one_way(rounds, (10_000 * 1024, 10_000))["peer"].seconds
    p99 = statistics.quantiles(empty, n=100)[98]
    return [
        figure("empty round through the hub: median", statistics.median(empty), "ms", 10, []),
        figure("empty round through the hub: p99", p99, "ms", 60, []),
        figure("10,000 tensors of 1 KiB: peer: time", statistics.median(many), "s", 0.1, many),
    ]


def measure(*, quick: bool) -> list[Figure]:
    """Everything; `quick` takes smaller payloads and fewer rounds."""
    rounds = 3 if quick else 7
    large = (64 if quick else 512) * MIB
    found = []
    for size, count, label in (
        (8 * MIB, 8, "8 MiB"),
        (64 * MIB, 1000, "64 MiB in 1,000 tensors"),
        (large, 8, f"{large // MIB} MiB in 8 tensors"),
    ):
        runs = one_way(rounds, (size, count))
        found += cost_figures(label, runs, targets=size == 512 * MIB)
    found += round_figures(both_ways(rounds, (large, 8)), targets=not quick)
    return found + small_figures(rounds)


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 MiB and 3 rounds")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    found = measure(quick=options.quick)
    for one in found:
        met = "" if one["met"] is None else ("  met" if one["met"] else "  MISSED")
        target = "" if one["target"] is None else f"  target <= {one['target']}"
        print(f"{one['name']:58} {one['value']:>10} {one['unit']}{target}{met}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
