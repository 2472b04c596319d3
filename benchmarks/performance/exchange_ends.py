"""The processes that benchmarks/performance/exchange.py measures, one end of a transfer each.

An end reads commands from standard input, one JSON list a line, and answers each by one JSON
object: what it cost this whole process, by the operating system.
"""

import gc
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc
import torch
from commands import Answer, obey
from costs import measured
from grpc import Channel
from papers import JOB, Paper, credentials
from torch import Tensor

from atoll_api.names import Ref
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.encoding import encode
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.identity import Credentials
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.server import Beside
from atoll_worker.exchange.serving import ServerThread
from atoll_worker.exchange.snapshots import Snapshots
from atoll_worker.exchange.store import Store
from atoll_worker.ports import Artifact

MESSAGE_BYTES: Final = 1024 * 1024
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 4 * MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
    ("SingleThreadedUnaryStream", 1),
)
FRESH_STRIDE: Final = 65_536
"""One number in as many is altered from round to round: no framework can know a piece of it."""


def payload(size_bytes: int, count: int, seed: int) -> dict[str, Tensor]:
    """`count` tensors of float32 that are all different, `size_bytes` together."""
    generator = torch.Generator().manual_seed(seed)
    whole = torch.randint(
        -(2**31), 2**31 - 1, (size_bytes // 4,), dtype=torch.int32, generator=generator
    )
    pieces = whole.chunk(count)
    return {f"block.{i}.weight": piece for i, piece in enumerate(pieces)}


class Payloads:
    """Tensors made once: what changes from round to round is one number of each 256 KiB."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], dict[str, Tensor]] = {}
        self._warm: dict[tuple[int, int], dict[str, Tensor]] = {}

    def fresh(self, size_bytes: int, count: int, seed: int) -> dict[str, Tensor]:
        """Tensors that no earlier round had."""
        if (size_bytes, count) not in self._made:
            self._made[size_bytes, count] = payload(size_bytes, count, seed)
        tensors = self._made[size_bytes, count]
        for tensor in tensors.values():
            tensor[::FRESH_STRIDE] += 1
        return tensors

    def warm(self, size_bytes: int, count: int) -> dict[str, Tensor]:
        """Memory to receive into, touched before."""
        if (size_bytes, count) not in self._warm:
            self._warm[size_bytes, count] = payload(size_bytes, count, 99)
        return self._warm[size_bytes, count]


class OurEnd:
    """Serves snapshots or a store, publishes and fetches: Atoll as it is."""

    def __init__(self, papers: list[Paper], store: str) -> None:
        self._credentials = {it["role"]: self._prove(it) for it in papers}
        self._shelf: Snapshots | Store = Store(Path(store)) if store else Snapshots()
        self._payloads = Payloads()
        self._clients: dict[tuple[str, str], ExchangeClient] = {}
        self._count = 0

    def serve(self) -> Answer:
        """Start the server on a thread; its address."""
        proof = self._credentials["hub"]
        beside = Beside(ProgressBook())
        self._server = ServerThread(self._shelf, self._guard(), proof, beside=beside)
        return {"address": self._server.address}

    def offer(self, size_bytes: int, count: int) -> Answer:
        """Name the bytes of a fresh artifact and serve it."""
        tensors = self._payloads.fresh(size_bytes, count, os.getpid())
        assert isinstance(self._shelf, Snapshots)
        shelf = self._shelf

        def work() -> None:
            encoded = encode(Artifact(tensors))
            shelf.offer("experts/0", encoded.manifest, encoded.blobs)

        return measured(work)

    def pull(self, address: str, size_bytes: int, count: int) -> Answer:
        """Fetch what is offered into memory that is there."""
        into, client = self._payloads.warm(size_bytes, count), self._client(address, "evaluate")
        return measured(lambda: client.fetch(Ref("experts/0"), into))

    def publish(self, address: str, size_bytes: int, count: int) -> Answer:
        """Publish a fresh artifact; the answer names its ref."""
        self._count += 1
        ref = Ref(f"checkpoints/{self._step}/{self._count}")
        tensors, client = (
            self._payloads.fresh(size_bytes, count, os.getpid()),
            self._island(address),
        )
        return {**measured(lambda: client.publish(ref, Artifact(tensors))), "ref": ref}

    def fetch(self, address: str, ref: str, size_bytes: int, count: int) -> Answer:
        """Fetch a ref into memory that is there."""
        into, client = self._payloads.warm(size_bytes, count), self._island(address)
        return measured(lambda: client.fetch(Ref(ref), into))

    def drop(self, address: str, ref: str) -> Answer:
        """Unbind a ref: its pack may be written over."""
        return measured(lambda: self._island(address).drop([Ref(ref)]))

    def cpu(self) -> Answer:
        """CPU seconds so far."""
        return {"cpu": time.process_time()}

    def _guard(self) -> Guard:
        return Guard(JOB)

    def _prove(self, paper: Paper) -> Credentials:
        return credentials(paper)

    @property
    def _step(self) -> str:
        return self._credentials["island"].process.step

    def _island(self, address: str) -> ExchangeClient:
        return self._client(address, "island")

    def _client(self, address: str, role: str) -> ExchangeClient:
        if (address, role) not in self._clients:
            self._clients[address, role] = ExchangeClient(address, self._credentials[role])
        return self._clients[address, role]


class PlainEnd:
    """Bytes without names or digests: raw TCP, and the least gRPC can be made to cost."""

    def __init__(self, papers: dict[str, Paper]) -> None:
        self._papers = papers
        self._payloads = Payloads()

    def serve(self, size_bytes: int) -> Answer:
        """Start both servers; their addresses."""
        made = self._payloads.fresh(size_bytes, 1, 0)["block.0.weight"]
        self._view = made.numpy().data.cast("B")
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._send, args=(listener,), daemon=True).start()
        server = grpc.server(ThreadPoolExecutor(1), options=_OPTIONS)
        handler: Any = grpc.unary_stream_rpc_method_handler(self._messages)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("plain", {"Fetch": handler}),)
        )
        proof = credentials(self._papers["hub"]).for_server()
        ports = {
            "tcp": listener.getsockname()[1],
            "grpc": server.add_insecure_port("127.0.0.1:0"),
            "grpc_tls": server.add_secure_port("127.0.0.1:0", proof),
        }
        server.start()
        self._server = server
        return {arm: f"127.0.0.1:{port}" for arm, port in ports.items()}

    def _send(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(self._view)

    def _messages(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        del request, context
        for start in range(0, len(self._view), MESSAGE_BYTES):
            yield bytes(self._view[start : start + MESSAGE_BYTES])

    def tcp(self, address: str, size_bytes: int) -> Answer:
        """Receive over a socket into memory that is there."""
        target = self._target(size_bytes)
        host, _, port = address.rpartition(":")

        def work() -> None:
            position = 0
            with socket.create_connection((host, int(port))) as connection:
                while count := connection.recv_into(target[position : position + MESSAGE_BYTES]):
                    position += count
            assert position == size_bytes

        return measured(work)

    def grpc(self, address: str, size_bytes: int) -> Answer:
        """Receive over one gRPC stream into memory that is there."""
        return self._stream(lambda: grpc.insecure_channel(address, _OPTIONS), size_bytes)

    def grpc_tls(self, address: str, size_bytes: int) -> Answer:
        """The same with mutual TLS."""
        own = credentials(self._papers["island"])
        options = (*_OPTIONS, ("grpc.ssl_target_name_override", own.hub.host))
        proof = own.for_channel()
        return self._stream(lambda: grpc.secure_channel(address, proof, options), size_bytes)

    def _stream(self, dial: Callable[[], Channel], size_bytes: int) -> Answer:
        target = self._target(size_bytes)

        def work() -> None:
            position = 0
            with dial() as channel:
                stream: Any = channel.unary_stream("/plain/Fetch")
                for message in stream(b""):
                    target[position : position + len(message)] = message
                    position += len(message)
            assert position == size_bytes

        return measured(work)

    def cpu(self) -> Answer:
        """CPU seconds so far."""
        return {"cpu": time.process_time()}

    def _target(self, size_bytes: int) -> memoryview:
        warm = self._payloads.warm(size_bytes, 1)["block.0.weight"]
        return warm.numpy().data.cast("B")


def main(ours: type[OurEnd] = OurEnd) -> None:
    """Answer commands until the input ends."""
    torch.set_num_threads(1)
    gc.freeze()  # as a worker does
    order = json.loads(sys.stdin.readline())
    obey(PlainEnd(order) if isinstance(order, dict) else ours(*order))


if __name__ == "__main__":
    main()
