"""The ends of Atoll that benchmarks/performance/exchange.py measures: two islands and a hub.

Each is a process of its own (`exchange_ends.py`); this side tells them what to do and adds up what
it took. It must not move a byte itself.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from commands import Commanded
from exchange_peers import Round
from papers import new_authority, paper

from atoll_operator.local.environment import hub_environment

ENDS: Final = "exchange_ends.py"
BARE: Final = "exchange_bare.py"
"""The same without TLS and digests."""

Shape = tuple[int, int]
"""Bytes of an artifact, and its tensors."""


@dataclass(frozen=True)
class Sample:
    """What one transfer took, both ends together."""

    seconds: float
    cpu_seconds: float
    growth_bytes: int = 0
    """Of the receiver."""
    offer_seconds: float = 0.0
    """Of which: naming the bytes, before anybody asked for them."""
    offer_cpu_seconds: float = 0.0

    @property
    def pull_seconds(self) -> float:
        """From the question until the bytes are there."""
        return self.seconds - self.offer_seconds


class End(Commanded):
    """One process of `exchange_ends.py`."""

    def __init__(self, order: object, script: str = ENDS) -> None:
        super().__init__(script, environment=hub_environment(os.environ))
        self.write(order)

    def cpu(self) -> float:
        """CPU seconds of the process so far."""
        return float(self("cpu")["cpu"])


class Plain:
    """The bare wire: a socket, and a minimal stream of gRPC."""

    def __init__(self, stack: ExitStack, size_bytes: int) -> None:
        authority = new_authority()
        papers = {role: paper(authority, role) for role in ("hub", "island")}
        self._sender, self._receiver = End(papers), End(papers)
        stack.callback(self._sender.close)
        stack.callback(self._receiver.close)
        self._size_bytes = size_bytes
        self._addresses = self._sender("serve", size_bytes)

    def tcp(self) -> Sample:
        """One transfer over a socket."""
        return self._transfer("tcp")

    def grpc(self) -> Sample:
        """One transfer over a stream."""
        return self._transfer("grpc")

    def grpc_tls(self) -> Sample:
        """The same with mutual TLS."""
        return self._transfer("grpc_tls")

    def _transfer(self, arm: str) -> Sample:
        before = self._sender.cpu()
        it = self._receiver(arm, self._addresses[arm], self._size_bytes)
        return Sample(it["wall"], self._sender.cpu() - before + it["cpu"], it["growth"])


class Islands:
    """Two islands that each serve their memory, and a hub over a folder."""

    def __init__(self, stack: ExitStack, script: str = ENDS) -> None:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        authority = new_authority()
        papers = [paper(authority, role) for role in ("hub", "island", "evaluate")]
        self._ends = [End([papers, store], script) for store in ("", "", folder)]
        for end in self._ends:
            stack.callback(end.close)
        self._one, self._two, self._hub = self._ends
        self._addresses = [end("serve")["address"] for end in self._ends]
        self._pool = stack.enter_context(ThreadPoolExecutor(2))

    def peer(self, shape: Shape) -> Sample:
        """A fresh artifact from one island's memory into the other's."""
        offered = self._one("offer", *shape)
        before = self._one.cpu()
        pulled = self._two("pull", self._addresses[0], *shape)
        cpu = offered["cpu"] + self._one.cpu() - before + pulled["cpu"]
        seconds = offered["wall"] + pulled["wall"]
        return Sample(seconds, cpu, pulled["growth"], offered["wall"], offered["cpu"])

    def store(self, shape: Shape) -> Sample:
        """A fresh artifact from an island's memory onto the hub's disk."""
        hub = self._addresses[2]
        before = self._hub.cpu()
        it = self._one("publish", hub, *shape)
        sample = Sample(it["wall"], self._hub.cpu() - before + it["cpu"], it["growth"])
        self._one("drop", hub, it["ref"])
        return sample

    def empty(self) -> float:
        """Seconds to publish four bytes to the hub, with fsync, and to fetch them."""
        hub = self._addresses[2]
        published = self._one("publish", hub, 4, 1)
        fetched = self._one("fetch", hub, published["ref"], 4, 1)
        return float(published["wall"] + fetched["wall"])

    def swap_directly(self, shape: Shape) -> Round:
        """Both islands give each other a fresh artifact, at once."""

        def work() -> None:
            self._both(lambda end: end("offer", *shape))
            turned = zip((self._two, self._one), self._addresses, strict=False)
            self._wait(lambda it: it[0]("pull", it[1], *shape), turned)

        return self._timed(work)

    def swap_through_hub(self, shape: Shape) -> Round:
        """The same, each publishing to the hub and fetching from it."""
        hub, refs = self._addresses[2], list[str]()

        def work() -> None:
            refs.extend(self._both(lambda end: end("publish", hub, *shape)["ref"]))
            turned = zip((self._two, self._one), refs, strict=True)
            self._wait(lambda it: it[0]("fetch", hub, it[1], *shape), turned)

        timed = self._timed(work)
        for ref in refs:
            self._one("drop", hub, ref)
        return timed

    def _both(self, work: Callable[[End], Any]) -> Sequence[Any]:
        return self._wait(work, (self._one, self._two))

    def _wait(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Sequence[Any]:
        return list(self._pool.map(work, items))

    def _timed(self, work: Callable[[], None]) -> Round:
        before = sum(end.cpu() for end in self._ends)
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        return Round(seconds, sum(end.cpu() for end in self._ends) - before)
