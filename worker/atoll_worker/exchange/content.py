"""An artifact's content: its distinct blobs in a row, and runs of its bytes. Pure, no torch.

Bytes on the wire and in a pack are named by where they are in the content, so one run may cover
thousands of small blobs; each blob is still checked against its own digest.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from blake3 import blake3

PIECE_BYTES: Final = 1024 * 1024
"""Bytes in one message: less costs calls, more costs memory."""
MAX_RUNS: Final = 65_536
"""Runs in one call: more than a manifest of the largest size can need."""
_PREFIX: Final = "blake3:"


class ContentError(ValueError):
    """Runs that are none of a content; the message says why."""


class Blob(NamedTuple):
    """A run of bytes of one tensor's encoding."""

    digest: str
    size_bytes: int


class Run(NamedTuple):
    """Bytes from `begin` up to and without `end`."""

    begin: int
    end: int


Buffer = bytes | memoryview
Piece = tuple[int, Sequence[Buffer]]
"""(position in the content, the bytes from there on, in parts): at most `PIECE_BYTES`."""
Pieces = Generator[Piece, None, None]


class Content:
    """Distinct blobs and where each begins."""

    def __init__(self, blobs: Iterable[Blob]) -> None:
        self.blobs = tuple(blobs)
        self.starts = tuple(accumulate((blob.size_bytes for blob in self.blobs), initial=0))
        """Where each blob begins; and, last, where the content ends."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the content."""
        return self.starts[-1]

    def index_at(self, position: int) -> int:
        """The blob that the byte at a position is of."""
        return bisect_right(self.starts, position) - 1

    def runs(self, wanted: Iterable[bool]) -> list[Run]:
        """The bytes of the blobs that are wanted, as few runs as possible."""
        changes = pairwise([False, *wanted, False])
        edges = [
            start
            for start, (before, after) in zip(self.starts, changes, strict=True)
            if before != after
        ]
        return [Run(begin, end) for begin, end in zip(edges[::2], edges[1::2], strict=True)]

    def check(self, runs: Sequence[Run]) -> None:
        """See that runs are of this content, ascending and apart.

        Raises:
            ContentError: they are not, or too many.
        """
        if len(runs) > MAX_RUNS:
            raise ContentError(f"{len(runs)} runs of bytes in one call, the limit is {MAX_RUNS}")
        reached = 0
        for begin, end in runs:
            if not reached <= begin < end <= self.size_bytes:
                raise ContentError(
                    f"the bytes {begin} to {end} are not after {reached} and within the "
                    f"{self.size_bytes} of the artifact"
                )
            reached = end

    def pieces(self, blobs: Sequence[Buffer], runs: Iterable[Run]) -> Iterator[Piece]:
        """The bytes of the runs, out of the bytes of all blobs; nothing is copied."""
        for run in runs:
            for begin in range(run.begin, run.end, PIECE_BYTES):
                yield begin, self._parts(blobs, Run(begin, min(run.end, begin + PIECE_BYTES)))

    def _parts(self, blobs: Sequence[Buffer], run: Run) -> Sequence[Buffer]:
        """Whole blobs but for the first and the last, which may be one."""
        first, last = self.index_at(run.begin), self.index_at(run.end - 1)
        parts = list(blobs[first : last + 1])
        parts[-1] = parts[-1][: run.end - self.starts[last]]
        parts[0] = parts[0][run.begin - self.starts[first] :]
        return parts


class AlteredError(Exception):
    """A blob whose bytes do not have its digest, which is the argument."""


class Passage:
    """How far the bytes of some runs have come, in order; each blob is checked as it passes.

    The runs begin and end with a blob.
    """

    def __init__(self, content: Content, runs: Sequence[Run]) -> None:
        self._content = content
        self._runs = tuple(runs)
        self._run = 0
        self._index = 0
        self._hasher: blake3 | None = None
        """Of the blob that has passed in part."""
        self.passed_bytes = 0
        self.position = 0
        """Of the next byte in the content."""
        self._start_run()

    @property
    def done(self) -> bool:
        """Whether all has passed."""
        return self._run == len(self._runs)

    def remaining(self) -> list[Run]:
        """What has not passed."""
        if self.done:
            return []
        return [Run(self.position, self._runs[self._run].end), *self._runs[self._run + 1 :]]

    def expect(self, position: int, size_bytes: int) -> None:
        """See that these are the next bytes.

        Raises:
            ContentError: they are not, or are no bytes, or go on beyond their run.
        """
        end = self.position if self.done else self._runs[self._run].end
        if position != self.position or not 0 < size_bytes <= end - position:
            raise ContentError(
                f"{size_bytes} bytes at {position}, where the content goes on at {self.position} "
                f"and up to {end}"
            )

    def skip(self, size_bytes: int) -> None:
        """Pass a whole blob that somebody else has checked."""
        self._go_on(self.position + size_bytes, self._index + 1, None)
        self.passed_bytes += size_bytes

    def take(self, content: memoryview) -> None:
        """The next bytes, which `expect` has let through.

        Raises:
            AlteredError: a blob is not what it is named by. It has to pass again from its start.
        """
        begin, end = self.position, self.position + len(content)
        last = self._content.index_at(end)
        cuts = [begin, *self._content.starts[self._index + 1 : last + 1]]
        hasher = self._hasher
        ending = zip(self._content.blobs[self._index : last], pairwise(cuts), strict=True)
        for blob, (start, stop) in ending:
            part = content[start - begin : stop - begin]
            whole = blake3(part) if hasher is None else hasher.update(part)
            hasher = None
            if _PREFIX + whole.hexdigest() != blob.digest:
                self._move(stop - blob.size_bytes)
                raise AlteredError(blob.digest)
        if cuts[-1] < end:
            hasher = (hasher or blake3()).update(content[cuts[-1] - begin :])
        self.passed_bytes += len(content)
        self._go_on(end, last, hasher)

    def _go_on(self, position: int, index: int, hasher: blake3 | None) -> None:
        self.position, self._index, self._hasher = position, index, hasher
        if position == self._runs[self._run].end:
            self._run += 1
            self._start_run()

    def _move(self, position: int) -> None:
        """To the start of a blob of this run."""
        self.passed_bytes += position - self.position
        self.position = position
        self._index = self._content.index_at(position)
        self._hasher = None

    def _start_run(self) -> None:
        if not self.done:
            self.passed_bytes -= self._runs[self._run].begin - self.position
            self._move(self._runs[self._run].begin)


def digest_of(content: Buffer) -> str:
    """The name of these bytes."""
    return _PREFIX + blake3(content).hexdigest()
