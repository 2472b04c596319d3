"""The bulk side of the client: blobs out of an encoded artifact, blobs into a decoder.

Messages are bytes as `frames` has them. Broken off, a transfer goes on at the byte reached.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from blake3 import blake3

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll_worker.errors import CorruptArtifactError, RejectedError
from atoll_worker.exchange import frames
from atoll_worker.exchange.connection import Connection, Effort
from atoll_worker.exchange.encoding import Decoder, Encoded
from atoll_worker.exchange.frames import PIECE_BYTES, Chunk
from atoll_worker.exchange.manifest import Manifest
from atoll_worker.exchange.traffic import Traffic

STALL_SECONDS: Final = 30.0
"""A transfer that moves nothing for so long is cancelled, and tried again."""
WINDOW_BYTES: Final = 12 * 1024 * 1024
"""Sent and not heard of: all that a broken connection can make an upload send twice."""


class Moving:
    """Cancels a call that moves nothing for a while: a peer that is gone may never say so."""

    def __init__(self, call: Any, effort: Effort, stall_seconds: float = STALL_SECONDS) -> None:
        self._call = call
        self._effort = effort
        self._stall_seconds = stall_seconds
        self._moved = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="moving", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self._call.cancel()  # no harm once it is done

    def moved(self) -> None:
        """Something got through, if only word that the call stands in line."""
        self._moved = time.monotonic()
        self._effort.moved()

    def _look(self) -> None:
        rest = self._stall_seconds
        while rest > 0 and not self._done.wait(rest):
            rest = self._moved + self._stall_seconds - time.monotonic()
        if rest <= 0:
            self._call.cancel()


class Upload:
    """The blobs of one artifact on their way to the hub, over as many streams as it takes."""

    def __init__(self, encoded: Encoded, traffic: Traffic) -> None:
        self._encoded = encoded
        self._traffic = traffic

    def run(self, connection: Connection, missing: pb.MissingResponse, effort: Effort) -> None:
        """Send what the hub lacks, or as much as it takes in one turn.

        Raises:
            grpc.RpcError: the stream broke or stalled, or the hub refused it.
        """
        reached = {it.blob_digest: it.offset_bytes for it in missing.partial}
        pieces = _pieces(self._encoded.blobs, missing.blob_digests, reached)
        source = _Source(missing.session_id, pieces, self._traffic)
        call = connection.publish(source.messages())
        try:
            with Moving(call, effort) as moving:
                for answer in call:
                    source.taken(pb.PublishResponse.FromString(answer).received_bytes)
                    moving.moved()
        finally:
            source.close()


class _Source:
    """The messages of an upload, never further ahead of the hub than `WINDOW_BYTES`."""

    def __init__(self, session: str, pieces: Iterator[Chunk], traffic: Traffic) -> None:
        self._session = session
        self._pieces = pieces
        self._traffic = traffic
        self._room = threading.Condition()
        self._sent = 0
        self._taken = 0
        self._closed = False

    def messages(self) -> Iterator[bytes]:
        session = self._session
        for chunks in frames.packed(self._pieces):
            size = sum(len(content) for _, _, content in chunks)
            if not self._wait_for_room(size):
                return
            self._traffic.add("sent", size)
            yield frames.encode_publish(session, chunks)
            session = ""

    def taken(self, count_bytes: int) -> None:
        """The hub has so many bytes of this stream."""
        with self._room:
            self._taken = count_bytes
            self._room.notify()

    def close(self) -> None:
        """Let go of gRPC's thread, which may wait for room in vain."""
        with self._room:
            self._closed = True
            self._room.notify()

    def _wait_for_room(self, size: int) -> bool:
        with self._room:
            self._room.wait_for(
                lambda: self._closed or self._sent + size - self._taken <= WINDOW_BYTES
            )
            self._sent += size
            return not self._closed


def _pieces(
    blobs: Mapping[str, memoryview], digests: Sequence[str], reached: Mapping[str, int]
) -> Iterator[Chunk]:
    for digest in digests:
        blob = blobs[digest]
        for start in range(reached.get(digest, 0), len(blob), PIECE_BYTES):
            yield digest, start, blob[start : start + PIECE_BYTES]


class Download:
    """The blobs of one artifact on their way into a decoder; broken off, it goes on."""

    def __init__(self, ref: str, manifest: Manifest, decoder: Decoder, traffic: Traffic) -> None:
        self._ref = ref
        self._digest = manifest.digest
        self._decoder = decoder
        self._traffic = traffic
        self._waiting = list(manifest.blobs())[::-1]
        self._position = 0
        self._hasher = blake3()

    def run(self, connection: Connection, effort: Effort) -> Decoder:
        """Fetch what is still missing.

        Raises:
            grpc.RpcError: the stream broke or stalled, or the hub refused it.
            CorruptArtifactError: a blob does not have the digest it is named by.
            RejectedError: the hub sent what was not asked for.
        """
        while self._waiting:
            before = (len(self._waiting), self._position)
            call = connection.fetch(self._request())
            with Moving(call, effort) as moving:
                for message in call:
                    self._take_all(message)
                    moving.moved()
            if before == (len(self._waiting), self._position):
                raise RejectedError(f"the hub sends nothing of {self._ref}: update the hub")
        return self._decoder

    def _request(self) -> pb.FetchRequest:
        offsets = [self._position] + [0] * (len(self._waiting) - 1)
        ranges = [
            pb.BlobRange(blob_digest=blob.digest, offset_bytes=offset)
            for blob, offset in zip(reversed(self._waiting), offsets, strict=True)
        ]
        return pb.FetchRequest(ref=self._ref, manifest_digest=self._digest, ranges=ranges)

    def _take_all(self, message: bytes) -> None:
        try:
            chunks = frames.decode_fetch(message)
        except frames.FrameError as error:
            raise RejectedError(f"the hub sent no bytes of {self._ref}: {error}") from error
        for digest, offset, content in chunks:
            self._take(digest, offset, content)
            self._traffic.add("received", len(content))

    def _take(self, digest: str, offset: int, content: bytes | memoryview) -> None:
        blob = self._waiting[-1] if self._waiting else None
        end = self._position + len(content)
        if (
            blob is None
            or digest != blob.digest
            or offset != self._position
            or end > blob.size_bytes
        ):
            raise RejectedError(f"the hub sent bytes of {self._ref} out of order: update the hub")
        self._decoder.target(blob.digest)[self._position : end] = content
        self._hasher.update(content)
        self._position = end
        if end == blob.size_bytes:
            self._finish(blob.digest)

    def _finish(self, digest: str) -> None:
        if f"blake3:{self._hasher.hexdigest()}" != digest:
            raise CorruptArtifactError(
                f"blob {digest} of {self._ref} arrived altered: check the network and run again"
            )
        self._waiting.pop()
        self._position = 0
        self._hasher = blake3()
