"""What the process that merges sees of the islands: it serves nothing and holds nothing."""

from collections.abc import Collection, Mapping
from typing import Self

from atoll_api.names import Ref
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.watching import Listener, Watching
from atoll_worker.ports import Artifact, Binding


class Onlooking:
    """Implements `ports.Onlooker` until it is closed, which has to be before its client is."""

    def __init__(self, client: ExchangeClient, prefixes: Collection[str]) -> None:
        self._client = client
        self._watching = Watching(
            client.connection, prefixes, Listener(lambda: None, lambda _ref: None)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        self._watching.close()

    def wait(self, refs: Collection[Ref], seconds: float) -> Mapping[Ref, str]:
        """See `ports.Onlooker.wait`."""
        return self._watching.wait(refs, seconds)

    def fetch(self, ref: Ref, patience_seconds: float) -> Artifact:
        """See `ports.Onlooker.fetch`."""
        return self._client.fetch(ref, patience_seconds=patience_seconds)

    def excuse(self, ref: Ref) -> Binding:
        """See `ports.Onlooker.excuse`."""
        return self._client.excuse(ref)
