"""What it costs a process to be seen: time of a training step, and memory.

Digits, MLP 64x3, batch 64, the loop of an island over a hub in memory. Arms:

- step time: blocks of the same training in one process, with a tally that is served on loopback and
  scraped once a second by a process of its own, and with one that counts nothing and is not scraped;
  they alternate, in an order that swaps. Prometheus comes every 5 to 30 seconds, so this is more than
  it will be;
- island memory: a process that trains and is scraped, against one that only trains;
- hub memory: a hub as a local run starts it, scraped, against one without metrics; both idle.

Memory is resident (RSS) at the end, of fresh processes in turns; the figure is the median of the
differences of pairs. MB is 10^6 bytes.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

os.environ.setdefault("OMP_NUM_THREADS", "1")

from costs import memory_bytes
from figures import Figure, Target, median, parser, say, tell
from hub import SETTLE_SECONDS, Hub
from papers import new_authority

STEP_TARGET: Final = Target(1.01)
MEMORY_TARGET: Final = Target(5.0)
SCRAPES: Final = 20
_SCRAPE_SECONDS: Final = 1.0
_QUESTION: Final = b"GET /metrics HTTP/1.0\r\n\r\n"


def trainings(blocks: int, steps: int) -> tuple[list[float], list[float]]:
    """Seconds a step, block by block: seen, and unseen."""
    from metrics_training import Training  # noqa: PLC0415 - torch, of which a hub's arm needs none

    seen, unseen = Training(seen=True), Training(seen=False)
    with scraper(seen.port) as pid:

        def looked_at() -> float:
            with at_work(pid):
                return seen.seconds_a_step(steps)

        def alone() -> float:
            return unseen.seconds_a_step(steps)

        arms = (looked_at, alone)
        for one in arms:
            one()  # warm up
        pairs = [_pair(arms, first=block % 2) for block in range(blocks)]
    return [it[0] for it in pairs], [it[1] for it in pairs]


def _pair(arms: Sequence[Callable[[], float]], *, first: int) -> tuple[float, float]:
    found = {turn: arms[turn]() for turn in (first, 1 - first)}
    return found[0], found[1]


@contextmanager
def scraper(port: int) -> Iterator[int]:
    """Somebody who asks for the numbers once a second, and stands still but for `at_work`."""
    command = [sys.executable, __file__, "--scrape", str(port)]
    with subprocess.Popen(command) as process:
        try:
            os.kill(process.pid, signal.SIGSTOP)
            yield process.pid
        finally:
            process.kill()


@contextmanager
def at_work(pid: int) -> Iterator[None]:
    """The scraper asks, until the block ends."""
    os.kill(pid, signal.SIGCONT)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGSTOP)


def scrape(port: int) -> int:
    """Ask once; the bytes of the answer."""
    size = 0
    with socket.create_connection(("127.0.0.1", port), timeout=10) as asked:
        asked.sendall(_QUESTION)
        while piece := asked.recv(1 << 16):
            size += len(piece)
    return size


def island_bytes(arm: str, steps: int) -> int:
    """Memory of a fresh process after it has trained; it measures itself."""
    command = [sys.executable, __file__, "--train", arm, "--steps", str(steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)


def train_alone(arm: str, steps: int) -> None:
    """Be that process."""
    from metrics_training import Training  # noqa: PLC0415 - see above

    training = Training(seen=arm == "seen")
    training.seconds_a_step(steps)
    for _ in range(SCRAPES if training.port else 0):
        scrape(training.port)
    print(memory_bytes("VmRSS"))


def hub_bytes(arm: str) -> int:
    """Memory of a fresh hub that does nothing but be looked at."""
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(new_authority(), Path(folder), seen=arm == "seen")
        try:
            time.sleep(SETTLE_SECONDS)
            for _ in range(SCRAPES if hub.metrics_port else 0):
                scrape(hub.metrics_port)
            return memory_bytes("VmRSS", hub.pid)
        finally:
            hub.close()


def differences(name: str, pairs: list[tuple[int, int]]) -> list[Figure]:
    """How much more the one that is seen takes, in MB, and what both take."""
    return [
        median(f"{name}: memory for metrics", [_mb(a - b) for a, b in pairs], "MB", MEMORY_TARGET),
        median(f"{name}: memory, seen", [_mb(seen) for seen, _ in pairs], "MB"),
        median(f"{name}: memory, unseen", [_mb(unseen) for _, unseen in pairs], "MB"),
    ]


def _mb(size_bytes: int) -> float:
    return size_bytes / 1e6


def measure(*, quick: bool) -> list[Figure]:
    """All arms."""
    blocks, steps, rounds = (10, 300, 3) if quick else (40, 1500, 7)
    say("step time")
    seen, unseen = trainings(blocks, steps)
    ratios = [one / other for one, other in zip(seen, unseen, strict=True)]
    say("memory of islands and hubs")
    islands = [(island_bytes("seen", 300), island_bytes("unseen", 300)) for _ in range(rounds)]
    hubs = [(hub_bytes("seen"), hub_bytes("unseen")) for _ in range(rounds)]
    return [
        median("training step, seen / unseen", ratios, "ratio", STEP_TARGET),
        median("training step, seen", [it * 1e6 for it in seen], "us"),
        median("training step, unseen", [it * 1e6 for it in unseen], "us"),
        *differences("island", islands),
        *differences("hub", hubs),
    ]


def main() -> None:
    """Measure, print, and write JSON where asked."""
    options = parser(__doc__, "short blocks and few processes; the ratio is noisy")
    for hidden in ("--scrape", "--train", "--steps"):
        options.add_argument(hidden, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.scrape:
        while True:
            scrape(int(chosen.scrape))
            time.sleep(_SCRAPE_SECONDS)
    elif chosen.train:
        train_alone(chosen.train, int(chosen.steps))
    else:
        tell(measure(quick=chosen.quick), chosen.json)


if __name__ == "__main__":
    main()
