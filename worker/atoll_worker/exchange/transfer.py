"""The bulk side of the client: blobs out of an encoded artifact, blobs into a decoder."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import grpc
from blake3 import blake3

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll_worker.errors import CorruptArtifactError, RejectedError
from atoll_worker.exchange.connection import Connection, Effort, StalledError
from atoll_worker.exchange.encoding import Decoder, Encoded
from atoll_worker.exchange.manifest import Manifest

PIECE_BYTES: Final = 1024 * 1024
STREAM_SECONDS: Final = 60.0
"""A download goes on in a new stream after so long: a dead hub is noticed, and only progress
keeps the patience from running out. An upload that moves nothing for so long is cancelled."""


def upload(
    connection: Connection, session: str, encoded: Encoded, digests: Sequence[str], effort: Effort
) -> None:
    """Send blobs of an open session.

    Raises:
        StalledError: nothing moved for `STREAM_SECONDS`.
        grpc.RpcError: the stream broke, or the hub refused it.
    """
    source = _Source(session, encoded, digests, effort)
    call = connection.exchange.Publish.future(iter(source))
    try:
        while True:
            try:
                call.result(timeout=1.0)
            except grpc.FutureTimeoutError:
                source.check()
            except grpc.FutureCancelledError as error:
                raise StalledError("the upload was cancelled") from error
            else:
                return
    finally:
        call.cancel()  # no harm once it is done


class _Source:
    """The messages of an upload; remembers when one was last taken."""

    def __init__(
        self, session: str, encoded: Encoded, digests: Sequence[str], effort: Effort
    ) -> None:
        self._session = session
        self._encoded = encoded
        self._digests = digests
        self._effort = effort
        self._taken = time.monotonic()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[pb.PublishRequest]:
        for chunks in _messages(self._encoded, self._digests):
            with self._lock:
                self._taken = time.monotonic()
            self._effort.moved()
            yield pb.PublishRequest(session_id=self._session, chunks=chunks)

    def check(self) -> None:
        """Raise StalledError if it was too long ago."""
        with self._lock:
            idle = time.monotonic() - self._taken
        if idle > STREAM_SECONDS:
            raise StalledError(f"the upload moved nothing for {STREAM_SECONDS:.0f} s")


def _messages(encoded: Encoded, digests: Iterable[str]) -> Iterator[list[pb.BlobChunk]]:
    chunks: list[pb.BlobChunk] = []
    size = 0
    for digest in digests:
        blob = encoded.blobs[digest]
        for start in range(0, len(blob), PIECE_BYTES):
            piece = bytes(blob[start : start + PIECE_BYTES])
            if size + len(piece) > PIECE_BYTES:
                yield chunks
                chunks, size = [], 0
            chunks.append(pb.BlobChunk(blob_digest=digest, offset_bytes=start, content=piece))
            size += len(piece)
    if chunks:
        yield chunks


class Download:
    """The blobs of one artifact on their way into a decoder; broken off, it goes on."""

    def __init__(self, ref: str, manifest: Manifest) -> None:
        self._ref = ref
        self._digest = manifest.digest
        self._decoder = Decoder(manifest)
        self._waiting = list(manifest.blobs())[::-1]
        self._position = 0
        self._hasher = blake3()

    def run(self, connection: Connection, effort: Effort) -> Decoder:
        """Fetch what is still missing.

        Raises:
            grpc.RpcError: the stream broke, or the hub refused it.
            CorruptArtifactError: a blob does not have the digest it is named by.
            RejectedError: the hub sent what was not asked for.
        """
        if not self._waiting:
            return self._decoder
        call = connection.exchange.Fetch(self._request(), timeout=STREAM_SECONDS)
        try:
            for response in call:
                for chunk in response.chunks:
                    self._take(chunk)
                effort.moved()
        finally:
            call.cancel()
        if self._waiting:
            raise RejectedError(f"the hub ended {self._ref} before its end: update the hub")
        return self._decoder

    def _request(self) -> pb.FetchRequest:
        offsets = [self._position] + [0] * (len(self._waiting) - 1)
        ranges = [
            pb.BlobRange(blob_digest=blob.digest, offset_bytes=offset)
            for blob, offset in zip(reversed(self._waiting), offsets, strict=True)
        ]
        return pb.FetchRequest(ref=self._ref, manifest_digest=self._digest, ranges=ranges)

    def _take(self, chunk: pb.BlobChunk) -> None:
        blob = self._waiting[-1] if self._waiting else None
        end = self._position + len(chunk.content)
        if (
            blob is None
            or chunk.blob_digest != blob.digest
            or chunk.offset_bytes != self._position
            or end > blob.size_bytes
        ):
            raise RejectedError(f"the hub sent bytes of {self._ref} out of order: update the hub")
        self._decoder.target(blob.digest)[self._position : end] = chunk.content
        self._hasher.update(chunk.content)
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
