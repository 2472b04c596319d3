"""What it costs to keep artifacts: publish into a store with fsync, in CPU-seconds a gigabyte.

Rounds of one artifact each, the previous one dropped before the next, as a job keeps its snapshots:
into new files, into recycled ones, and, as a floor, the same bytes hashed and written to one file that
is overwritten in place. The ways alternate, in an order that turns; a figure is the median of its
rounds. CPU is that of the whole process by the operating system, the kernel's share included; the
digests that a publisher makes are made before, for they are not the store's work.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3
from figures import Figure, median, parser, tell

from atoll_worker.exchange.content import PIECE_BYTES, Blob, digest_of
from atoll_worker.exchange.manifest import Manifest, TensorEntry
from atoll_worker.exchange.room import Limits
from atoll_worker.exchange.spares import SpareSizes
from atoll_worker.exchange.store import Store

BLOB_BYTES = 64 * 1024 * 1024
Blobs = list[tuple[str, memoryview]]


@dataclass
class Costs:
    """What the rounds of one way took."""

    cpu_seconds_a_gb: list[float] = field(default_factory=list)
    wall_seconds_a_gb: list[float] = field(default_factory=list)


class Rounds:
    """Rounds of an artifact in a store; the last one is dropped before the next."""

    def __init__(self, folder: Path, spares: SpareSizes) -> None:
        self._store = Store(folder, limits=Limits(spares=spares))
        self._last: str | None = None

    def run(self, number: int, blobs: Blobs) -> None:
        """Publish, fsync and bind one round."""
        tensors = tuple(
            TensorEntry(f"t{i}", "uint8", (len(it),), "raw", (Blob(digest, len(it)),))
            for i, (digest, it) in enumerate(blobs)
        )
        if self._last is not None:
            self._store.drop([self._last])
        self._last = f"rounds/{number}"
        session, _ = self._store.open_upload(self._last, Manifest(tensors, {}).to_bytes())
        writer, position = self._store.writer(session), 0
        for _, blob in blobs:
            for start in range(0, len(blob), PIECE_BYTES):
                writer.write(position + start, blob[start : start + PIECE_BYTES])
            position += len(blob)
        self._store.bind(session)

    def close(self) -> None:
        """Let go of the folder."""
        self._store.close()


class Floor:
    """The same bytes, hashed and written over the last ones."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)

    def run(self, _number: int, blobs: Blobs) -> None:
        """Write and fsync."""
        position = 0
        for _, blob in blobs:
            hasher = blake3()
            for start in range(0, len(blob), PIECE_BYTES):
                piece = blob[start : start + PIECE_BYTES]
                hasher.update(piece)
                position += os.pwrite(self._file.fileno(), piece, position)
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def blobs_of(content: bytearray) -> Blobs:
    """(digest, bytes) of the blobs."""
    view = memoryview(content)
    parts = [view[start : start + BLOB_BYTES] for start in range(0, len(view), BLOB_BYTES)]
    return [(digest_of(bytes(part)), part) for part in parts]


def measure(folder: Path, size_bytes: int, runs: int) -> dict[str, Costs]:
    """Costs by the name of the way."""
    content = bytearray(os.urandom(size_bytes))
    new = Rounds(folder / "new", SpareSizes(0))
    recycled = Rounds(folder / "recycled", SpareSizes())
    floor = Floor(folder / "floor")
    ways: list[tuple[str, Callable[[int, Blobs], None]]] = [
        ("new", new.run),
        ("recycled", recycled.run),
        ("floor", floor.run),
    ]
    costs = {name: Costs() for name, _ in ways}
    for number in range(runs + 1):  # the first fills the files that are recycled
        turn = number % len(ways)
        for name, run in ways[turn:] + ways[:turn]:
            for start in range(0, size_bytes, BLOB_BYTES):
                content[start] = (content[start] + 1) % 256  # no blob is there already
            blobs = blobs_of(content)
            cpu, wall = time.process_time(), time.perf_counter()
            run(number, blobs)
            if number:
                gigabytes = size_bytes / 1e9
                costs[name].cpu_seconds_a_gb.append((time.process_time() - cpu) / gigabytes)
                costs[name].wall_seconds_a_gb.append((time.perf_counter() - wall) / gigabytes)
    for way in (new, recycled, floor):
        way.close()
    return costs


def results(costs: dict[str, Costs]) -> list[Figure]:
    """Two figures a way."""
    return [
        median(f"store publish with fsync, {name}: {kind}", values, f"{kind}-s/GB")
        for name, cost in costs.items()
        for kind, values in (("cpu", cost.cpu_seconds_a_gb), ("wall", cost.wall_seconds_a_gb))
    ]


def main() -> None:
    """Measure, print, and write JSON where asked."""
    asked = parser(__doc__, "64 MiB and 3 rounds, not 512 and 7")
    asked.add_argument("--folder", type=Path, help="on the disk to measure")
    options = asked.parse_args()
    size_bytes, runs = (64 << 20, 3) if options.quick else (512 << 20, 7)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = results(measure(Path(folder), size_bytes, runs))
    tell(found, options.json)


if __name__ == "__main__":
    main()
