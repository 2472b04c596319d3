"""Reading from whoever holds a ref, where the hub does not: directly, or else over the hub.

A holder may be behind a wall that nobody passes; then the hub is asked to get the bytes from it.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll_api.names import Process, process_of_step
from atoll_worker.errors import IdentityError, RejectedError, UnavailableError
from atoll_worker.exchange.connection import (
    UNARY_SECONDS,
    Connection,
    Effort,
    Patience,
    StalledError,
)
from atoll_worker.exchange.identity import Credentials
from atoll_worker.exchange.transfer import Download

HOLDER_PATIENCE: Final = Patience(first_seconds=5.0, later_seconds=10.0)
"""For a holder. Short: there is another way."""
AVOID_SECONDS: Final = 300.0
"""A holder that did not answer is not tried again for so long: each round would wait for it."""
_AWAY: Final = (UnavailableError, IdentityError, RejectedError)


class Peers:
    """Connections to the islands that hold what this process reads. Used from any thread."""

    def __init__(
        self,
        hub: Connection,
        credentials: Credentials,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._credentials = credentials
        self._clock = clock
        self._lock = threading.Lock()
        self._connections: dict[tuple[Process, str], Connection] = {}
        self._avoided: dict[tuple[Process, str], float] = {}

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for connection in self._connections.values():
                connection.close()

    def read(
        self,
        ref: str,
        place: pb.Place,
        download: Download,
        patience_seconds: float | None = None,
    ) -> None:
        """Have all of a download, from its holder or else from the hub.

        Args:
            ref: Of what.
            place: Where it is.
            download: What is wanted of it.
            patience_seconds: With the hub, if that is not the usual.

        Raises:
            UnavailableError: neither has the bytes, and nothing of them came for a while.
            CorruptArtifactError: a blob does not have the digest it is named by.
        """
        if not place.here and not self._read_from_holder(place, download):
            self._want(ref, patience_seconds)
        self._hub.retry(lambda effort: download.run(self._hub, effort), patience_seconds)

    def _read_from_holder(self, place: pb.Place, download: Download) -> bool:
        holder = process_of_step(self._credentials.process.job_uid, place.holder_step)
        if holder is None or not place.holder_address:
            return False
        key = (holder, place.holder_address)
        if self._clock() < self._avoided.get(key, 0.0):
            return False
        connection = self._connection(holder, place.holder_address)
        try:
            connection.retry(lambda effort: download.run(connection, effort))
        except _AWAY:
            self._avoided[key] = self._clock() + AVOID_SECONDS
            return False
        return True

    def _connection(self, holder: Process, address: str) -> Connection:
        """One for each holder: when it has moved, the old one is closed."""
        with self._lock:
            if (holder, address) not in self._connections:
                for key in [it for it in self._connections if it[0] == holder]:
                    self._connections.pop(key).close()
                self._connections[holder, address] = Connection(
                    address, self._credentials, HOLDER_PATIENCE, holder, self._hub.tally
                )
            return self._connections[holder, address]

    def _want(self, ref: str, patience_seconds: float | None) -> None:
        """Ask the hub for the bytes until it has them.

        Raises:
            UnavailableError: its holder publishes nothing.
        """
        received = 0
        place = pb.Place()

        def attempt(effort: Effort) -> None:
            nonlocal received, place
            answer = self._hub.exchange.Want(pb.WantRequest(ref=ref), timeout=UNARY_SECONDS)
            place = answer.place
            if answer.received_bytes > received:
                effort.moved()
                received = answer.received_bytes
            if not place.here:
                raise StalledError(f"{ref} is still with its holder")

        try:
            self._hub.retry(attempt, patience_seconds)
        except UnavailableError as error:
            holder = f"{place.holder_step} at {place.holder_address}"
            raise UnavailableError(
                f"{ref} cannot be had: {holder if place.holder_step else 'whoever holds it'} "
                f"neither answers nor publishes it to the hub ({error})"
            ) from error
