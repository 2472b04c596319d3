"""An end of exchange_ends.py without TLS and without digests: what the two of them cost.

Only here, to be measured: the product has neither. Channels are gRPC's own for a socket of this
machine, everybody may do everything, and a blob is named by its first KiB, which tells the blobs
of a benchmark apart and reads next to nothing.
"""

from collections.abc import Callable

import blake3
import grpc

from atoll_api.names import Process

NAMED_BYTES = 1024
_digest = blake3.blake3


class FirstBytes:
    """Takes the place of the hasher, and hashes the first KiB of what it is given."""

    def __init__(self, content: bytes | memoryview = b"", **_: object) -> None:
        self._start = bytes(content[:NAMED_BYTES])

    def update(self, content: bytes | memoryview, **_: object) -> "FirstBytes":
        """Go on."""
        if len(self._start) < NAMED_BYTES:
            self._start += bytes(content[: NAMED_BYTES - len(self._start)])
        return self

    def copy(self) -> "FirstBytes":
        """The same, on its own from here on."""
        return FirstBytes(self._start)

    def digest(self) -> bytes:
        """The name, as bytes."""
        return _digest(self._start).digest()

    def hexdigest(self) -> str:
        """The name."""
        return _digest(self._start).hexdigest()


vars(blake3)["blake3"] = FirstBytes  # before anything of the product imports it

import exchange_ends  # noqa: E402
from papers import JOB, Paper, process  # noqa: E402

from atoll_worker.exchange.access import Action  # noqa: E402
from atoll_worker.exchange.guard import Context, Guard  # noqa: E402
from atoll_worker.exchange.identity import Credentials  # noqa: E402

LOCAL = grpc.LocalConnectionType.LOCAL_TCP


class Anybody(Guard):
    """Lets everybody do everything."""

    async def caller(self, context: Context) -> Process:
        """Nobody has a certificate: all are the hub itself."""
        del context
        return Process(self.job_uid, "hub")

    def permits(self, caller: Process, action: Action) -> Callable[[str], bool]:
        """Everything."""
        del caller, action
        return lambda _: True


class NoPapers(Credentials):
    """Plain channels."""

    def for_channel(self) -> grpc.ChannelCredentials:
        """To dial with."""
        return grpc.local_channel_credentials(LOCAL)

    def for_server(self) -> grpc.ServerCredentials:
        """To serve with."""
        return grpc.local_server_credentials(LOCAL)


class BareEnd(exchange_ends.OurEnd):
    """Atoll with neither."""

    def _guard(self) -> Guard:
        return Anybody(JOB)

    def _prove(self, paper: Paper) -> Credentials:
        return NoPapers(process(paper), b"", b"", b"")


if __name__ == "__main__":
    exchange_ends.main(BareEnd)
