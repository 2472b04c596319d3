"""What an island keeps for its neighbours: bound at the hub, served from its own memory.

The hub learns who holds a ref, and hears it again after it was lost. A neighbour that cannot reach
this process asks the hub, and then the bytes are published there.
"""

import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Self

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll_api.names import Ref
from atoll_worker.errors import WorkerError
from atoll_worker.exchange.client import ExchangeClient, from_wire
from atoll_worker.exchange.connection import UNARY_SECONDS, Effort
from atoll_worker.exchange.encoding import Encoded, check_ref, encode
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.identity import Credentials
from atoll_worker.exchange.server import Beside
from atoll_worker.exchange.serving import ServerThread
from atoll_worker.exchange.snapshots import Snapshots
from atoll_worker.exchange.traffic import Traffic
from atoll_worker.exchange.watching import Listener, Watching
from atoll_worker.ports import Artifact, Binding

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listen:
    """Where an island serves."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 lets the system choose."""
    advertised: str = ""
    """What neighbours dial, if that is another: a HOST, or HOST:PORT where a port is mapped."""


class Offering:
    """Serves artifacts of this process until it is closed; hears of those of its neighbours.

    Raises:
        WorkerError: it cannot listen there.
    """

    def __init__(
        self,
        client: ExchangeClient,
        credentials: Credentials,
        guard: Guard,
        listen: Listen | None = None,
        prefixes: Collection[str] = (),
    ) -> None:
        """Start to serve, and to watch.

        Args:
            client: Of this process; close it after this.
            credentials: Of this process; its certificate has to be one for serving.
            guard: Who may read here.
            listen: Where.
            prefixes: Of refs to wait for.
        """
        listen = listen or Listen()
        self._client = client
        self._shelf = Snapshots()
        self._offered: dict[Ref, Encoded] = {}
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        """Held while the hub is told of a ref: nothing may bind it after its Drop."""
        beside = Beside(traffic=Traffic(client.traffic), tally=client.tally)
        self._server = ServerThread(
            self._shelf, guard, credentials, listen=f"{listen.host}:{listen.port}", beside=beside
        )
        self.address = _dialled(listen, self._server.port)
        """Where neighbours dial."""
        self._publisher = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self._watching = Watching(
            client.connection, prefixes, Listener(self._hold_again, self._publish_wanted)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def listening(self) -> str:
        """HOST:PORT at which this process serves."""
        return self._server.address

    @property
    def traffic(self) -> Traffic:
        """Bytes that neighbours took from here."""
        return self._server.exchange.traffic

    def close(self) -> None:
        """Stop serving. What was not published to the hub can no longer be had."""
        self._watching.close()
        self._publisher.shutdown(cancel_futures=True)
        self._server.close()

    def offer(self, ref: Ref, artifact: Artifact) -> Binding:
        """Bind a ref to an artifact that stays here, and serve it.

        The artifact's tensors are served as they are, without a copy: they must not change until
        the ref is withdrawn. A ref that is bound already stays bound: whoever sees another digest
        than its own holds nothing, and goes on from that artifact.

        Raises:
            RejectedError: the ref is none that this process may bind.
            UnavailableError: the hub does not answer.
        """
        check_ref(ref)
        encoded = encode(artifact)
        self._shelf.offer(ref, encoded.manifest, encoded.blobs)  # before anybody hears of it
        with self._lock:
            self._offered[ref] = encoded
        try:
            binding = self._client.connection.retry(partial(self._hold, ref, encoded))
        except WorkerError:
            self._let_go([ref])
            raise
        if binding.digest != encoded.manifest.digest:
            self._let_go([ref])
        return binding

    def fetch(self, ref: Ref, patience_seconds: float) -> Artifact:
        """See `ports.Onlooker.fetch`."""
        return self._client.fetch(ref, patience_seconds=patience_seconds)

    def excuse(self, ref: Ref) -> Binding:
        """See `ports.Onlooker.excuse`."""
        return self._client.excuse(ref)

    def withdraw(self, refs: Sequence[Ref]) -> None:
        """Unbind refs at the hub, and serve them no longer."""
        with self._telling:
            self._client.drop(refs)
            self._let_go(refs)

    def wait(self, refs: Collection[Ref], seconds: float) -> Mapping[Ref, str]:
        """See `ports.Onlooker.wait`."""
        return self._watching.wait(refs, seconds)

    def _let_go(self, refs: Sequence[Ref]) -> None:
        with self._lock:
            for ref in refs:
                self._offered.pop(ref, None)
        self._shelf.drop(refs)

    def _hold(self, ref: Ref, encoded: Encoded, _: Effort) -> Binding:
        request = pb.HoldRequest(
            ref=ref, manifest=encoded.manifest.to_bytes(), address=self.address
        )
        exchange = self._client.connection.exchange
        return from_wire(exchange.Hold(request, timeout=UNARY_SECONDS).binding)

    def _hold_again(self) -> None:
        """Tell a hub that may have been started again."""
        self._publisher.submit(self._hold_all)

    def _hold_all(self) -> None:
        with self._lock:
            offered = list(self._offered)
        for ref in offered:
            with self._telling, suppress(WorkerError):  # a hub that goes away opens a Watch again
                encoded = self._offered_still(ref)
                if encoded is not None:
                    self._client.connection.retry(partial(self._hold, ref, encoded))

    def _offered_still(self, ref: Ref) -> Encoded | None:
        """None: it was withdrawn meanwhile."""
        with self._lock:
            return self._offered.get(ref)

    def _publish_wanted(self, ref: str) -> None:
        self._publisher.submit(self._publish, Ref(ref))

    def _publish(self, ref: Ref) -> None:
        with self._telling:
            encoded = self._offered_still(ref)
            if encoded is None:
                return
            try:
                self._client.upload(ref, encoded)
            except WorkerError as error:  # the next Watch says again what is wanted
                _log.warning("%s is wanted at the hub and cannot be published: %s", ref, error)


def _dialled(listen: Listen, port: int) -> str:
    host = listen.advertised or listen.host
    return host if ":" in host else f"{host}:{port}"
