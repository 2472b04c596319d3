"""What a process hears from its hub: one Watch stream on a thread, opened again when it ends."""

import random
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll_api.names import Ref
from atoll_worker.exchange.connection import Connection, backoff_seconds

RENEW_SECONDS: Final = 60.0
"""A stream is left and opened again after so long: one whose other end is gone may never say so."""


@dataclass(frozen=True)
class Listener:
    """Called on the watching thread; must return soon, and not raise."""

    opened: Callable[[], None]
    """A stream was opened after another was lost, or is the first: the hub may know nothing."""
    wanted: Callable[[str], None]
    """Somebody wants this ref, which this process holds, at the hub."""


class Watching:
    """Hears of refs until it is closed, which has to be before its connection is."""

    def __init__(
        self, connection: Connection, prefixes: Collection[str], listener: Listener
    ) -> None:
        self._connection = connection
        self._prefixes = tuple(prefixes)
        self._listener = listener
        self._news = threading.Condition()
        self._bound: dict[str, pb.Bound] = {}
        self._call: Any = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        with self._news:
            call = self._call
        if call is not None:
            call.cancel()
        self._thread.join()

    def wait(self, refs: Collection[Ref], seconds: float) -> Mapping[Ref, str]:
        """Wait until all refs are bound, or for so long; digests of those that are, by ref."""
        with self._news:
            self._news.wait_for(lambda: all(ref in self._bound for ref in refs), seconds)
            return {
                ref: self._bound[ref].binding.manifest_digest for ref in refs if ref in self._bound
            }

    def _run(self) -> None:
        failures, lost = 0, True
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self._listen(lost)
                lost = False
            except grpc.RpcError as error:
                lost = error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
            failures = failures + 1 if time.monotonic() - began < 1.0 else 0
            if failures or lost:
                self._closed.wait(backoff_seconds(failures, random.random()))

    def _listen(self, lost: bool) -> None:  # noqa: FBT001 - what the loop remembers
        request = pb.WatchRequest(prefixes=self._prefixes)
        call = self._connection.exchange.Watch(request, timeout=RENEW_SECONDS)
        with self._news:
            self._call = call
        if self._closed.is_set():
            call.cancel()
        call.initial_metadata()  # comes before anything is told
        if lost and call.is_active():
            self._listener.opened()
        for event in call:
            if event.WhichOneof("event") == "wanted_ref":
                self._listener.wanted(event.wanted_ref)
                continue
            with self._news:
                self._bound[event.bound.binding.ref] = event.bound
                self._news.notify_all()
