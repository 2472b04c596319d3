"""The processes that benchmarks/performance/hub.py sets upon a hub.

One reads commands from standard input, one JSON list a line, and answers each by one JSON object.
It ends when its standard input does.
"""

import asyncio
import json
import os
import sys
import threading
import time
from contextlib import ExitStack
from typing import Any, Final

import grpc
from commands import Answer, obey
from papers import Paper, credentials

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll_api.names import Ref
from atoll_worker.exchange.identity import Credentials

PREFIX: Final = "experts/"
PATIENCE_SECONDS: Final = 120.0

Watch = Any
"""A call of gRPC's, whose type its stubs do not export."""


class Watchers:
    """Streams that hear of experts, some to a connection."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._channels: list[grpc.aio.Channel] = []
        self._watches: list[Watch] = []

    async def open(self, address: str, connections: int, streams_each: int) -> None:
        """Open them, and wait until each has heard of the one expert that is bound."""
        options = (
            ("grpc.ssl_target_name_override", self._credentials.hub.host),
            ("grpc.use_local_subchannel_pool", 1),  # or all would share one connection
        )
        proof = self._credentials.for_channel()
        for _ in range(connections):
            channel = grpc.aio.secure_channel(address, proof, options)
            stub: Any = exchange_grpc.ExchangeServiceStub(channel)
            self._channels.append(channel)
            self._watches += [
                stub.Watch(pb.WatchRequest(prefixes=[PREFIX])) for _ in range(streams_each)
            ]
        await self.hear()

    async def hear(self) -> None:
        """Wait until every stream has heard of one more binding."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(watch.read() for watch in self._watches))


class Clients:
    """What the commands do."""

    def __init__(self, papers: list[Paper]) -> None:
        self._credentials = {it["role"]: credentials(it) for it in papers}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._watchers = Watchers(self._credentials["evaluate"])
        self._count = 0

    def watch(self, address: str, connections: int, streams_each: int) -> Answer:
        """Open streams."""
        return self._run(self._watchers.open(address, connections, streams_each))

    def hear(self) -> Answer:
        """Wait for one more binding on each of them."""
        return self._run(self._watchers.hear())

    def publish(self, address: str, size_bytes: int, seconds: float, ref: str = "") -> Answer:
        """Publish fresh artifacts, one after another, until so much time is over; at least one.

        Each takes the place of the one before, as an island's checkpoints do.
        """
        import torch  # noqa: PLC0415 - those who watch do without

        from atoll_worker.exchange.client import ExchangeClient  # noqa: PLC0415
        from atoll_worker.ports import Artifact  # noqa: PLC0415

        torch.set_num_threads(1)
        proof = self._credentials["island"]
        tensors = torch.randint(0, 2**31, (8, size_bytes // 32), dtype=torch.int32)
        tensors[:, 0] = os.getpid()  # no two islands have the same
        published = 0
        with ExchangeClient(address, proof) as client:
            until = time.monotonic() + seconds
            while not published or time.monotonic() < until:
                self._count += 1
                tensors[:, 1] = self._count
                made = Ref(ref or f"checkpoints/{proof.process.step}/{self._count}")
                client.publish(made, Artifact({f"t{i}": it for i, it in enumerate(tensors)}))
                if published and not ref:
                    client.drop([Ref(f"checkpoints/{proof.process.step}/{self._count - 1}")])
                published += 1
        return {"published": published}

    def _run(self, work: Any) -> Answer:
        began = time.perf_counter()
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
        return {"seconds": time.perf_counter() - began}


def main() -> None:
    """Answer commands until the input ends."""
    with ExitStack() as stack:
        stack.callback(os._exit, 0)  # no thread of gRPC's may keep it
        obey(Clients(json.loads(sys.stdin.readline())))


if __name__ == "__main__":
    main()
