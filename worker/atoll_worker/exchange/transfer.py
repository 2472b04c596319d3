"""The bulk side of the client: content out of an encoded artifact, content into a decoder.

Messages are bytes as `frames` has them. Broken off, a transfer goes on at the byte reached.
"""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll_telemetry import tracing
from atoll_worker.errors import CorruptArtifactError, RejectedError
from atoll_worker.exchange import calls, frames
from atoll_worker.exchange.connection import Connection, Effort
from atoll_worker.exchange.content import AlteredError, ContentError, Passage, Piece, Run
from atoll_worker.exchange.decoding import Decoder
from atoll_worker.exchange.encoding import Encoded
from atoll_worker.exchange.manifest import Manifest
from atoll_worker.exchange.traffic import Traffic

STALL_SECONDS: Final = 30.0
"""A transfer that moves nothing for so long is cancelled, and tried again."""
WINDOW_BYTES: Final = 8 * 1024 * 1024
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
    """The content of one artifact on its way to the hub, over as many streams as it takes."""

    def __init__(self, encoded: Encoded, traffic: Traffic) -> None:
        self._encoded = encoded
        self._traffic = traffic

    def run(self, connection: Connection, missing: pb.MissingResponse, effort: Effort) -> bool:
        """Send what the hub lacks, or as much as it takes in one turn; whether that was all.

        Raises:
            grpc.RpcError: the stream broke or stalled, or the hub refused it.
        """
        runs = [Run(it.begin, it.end) for it in missing.missing]
        pieces = self._encoded.manifest.content.pieces(self._encoded.blobs, runs)
        count = partial(self._traffic.add, "sent", connection.role)
        source = _Source(missing.session_id, pieces, count)
        call = connection.publish(source.messages(), metadata=tracing.headers())
        try:
            with calls.timed(connection.tally, "Publish", call), Moving(call, effort) as moving:
                for answer in call:
                    source.taken(pb.PublishResponse.FromString(answer).received_bytes)
                    moving.moved()
        finally:
            source.close()
        return source.taken_bytes == sum(end - begin for begin, end in runs)


class _Source:
    """The messages of an upload, never further ahead of the hub than `WINDOW_BYTES`."""

    def __init__(self, session: str, pieces: Iterator[Piece], count: Callable[[int], None]) -> None:
        self._session = session
        self._pieces = pieces
        self._count = count
        self._room = threading.Condition()
        self._sent = 0
        self._closed = False
        self.taken_bytes = 0
        """What the hub has of this stream."""

    def messages(self) -> Iterator[bytes]:
        session = self._session
        for position, parts in self._pieces:
            size = sum(map(len, parts))
            if not self._wait_for_room(size):
                return
            self._count(size)
            yield frames.encode_publish(session, position, parts)
            session = ""

    def taken(self, count_bytes: int) -> None:
        """The hub has so many bytes of this stream."""
        with self._room:
            self.taken_bytes = count_bytes
            self._room.notify()

    def close(self) -> None:
        """Let go of gRPC's thread, which may wait for room in vain."""
        with self._room:
            self._closed = True
            self._room.notify()

    def _wait_for_room(self, size: int) -> bool:
        with self._room:
            self._room.wait_for(
                lambda: self._closed or self._sent + size - self.taken_bytes <= WINDOW_BYTES
            )
            self._sent += size
            return not self._closed


class Download:
    """The content of one artifact on its way into a decoder; broken off, it goes on."""

    def __init__(self, ref: str, manifest: Manifest, decoder: Decoder, traffic: Traffic) -> None:
        self._ref = ref
        self._digest = manifest.digest
        self._decoder = decoder
        self._traffic = traffic
        self._passage = Passage(manifest.content, decoder.wanted)

    def run(self, connection: Connection, effort: Effort) -> None:
        """Fetch what is still missing; another connection may go on where one broke off.

        Raises:
            grpc.RpcError: the stream broke or stalled, or the server refused it.
            CorruptArtifactError: a blob does not have the digest it is named by.
            RejectedError: the server sent what was not asked for.
        """
        while not self._passage.done:
            before = self._passage.passed_bytes
            call = connection.fetch(self._request(), metadata=tracing.headers())
            with calls.timed(connection.tally, "Fetch", call), Moving(call, effort) as moving:
                for message in call:
                    self._take(message, connection)
                    moving.moved()
            if self._passage.passed_bytes == before:
                raise RejectedError(
                    f"{connection.title} sends nothing of {self._ref}: update Atoll there"
                )

    def _request(self) -> pb.FetchRequest:
        ranges = [pb.ByteRange(begin=begin, end=end) for begin, end in self._passage.remaining()]
        return pb.FetchRequest(ref=self._ref, manifest_digest=self._digest, ranges=ranges)

    def _take(self, message: bytes, connection: Connection) -> None:
        try:
            position, content = frames.decode_fetch(message)
            if not content:
                return  # word that the call stands in line
            self._passage.expect(position, len(content))
        except ContentError as error:
            raise RejectedError(
                f"{connection.title} sent no bytes of {self._ref}: {error}; update Atoll there"
            ) from error
        self._decoder.write(position, content)
        self._traffic.add("received", connection.role, len(content))
        try:
            self._passage.take(content)
        except AlteredError as error:
            raise CorruptArtifactError(
                f"blob {error} of {self._ref} arrived from {connection.title} altered: check the network "
                "and run again"
            ) from error
