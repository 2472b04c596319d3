"""What a simulated process sees of its hub and neighbours: the ports, over a network with faults.

The protocol is that of `exchange.client`, `peers`, `offering` and `watching`, in the same messages; what
differs is who waits: a strand, on simulated time.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

import grpc
from sim_calls import Call, Caller, CallError, Served
from sim_time import FOREVER

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll_api import names
from atoll_api.names import Process, Ref
from atoll_worker.errors import (
    CorruptArtifactError,
    DisruptedError,
    RejectedError,
    UnavailableError,
    WorkerError,
)
from atoll_worker.exchange import frames
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.bases import BaseName, Bases, require_digest
from atoll_worker.exchange.client import from_wire
from atoll_worker.exchange.connection import (
    LAST_SECONDS,
    REFUSALS,
    RETRYABLE,
    Patience,
    backoff_seconds,
)
from atoll_worker.exchange.content import AlteredError, Passage, Run
from atoll_worker.exchange.decoding import Decoder
from atoll_worker.exchange.encoding import Encoded, encode
from atoll_worker.exchange.manifest import Manifest
from atoll_worker.exchange.peers import AVOID_SECONDS
from atoll_worker.exchange.snapshots import Snapshots
from atoll_worker.ports import Artifact, Binding, ProgressReport

T = TypeVar("T")

_HOLDER_SECONDS = 5.0
SEEN = ("islands/", "mergeability/", names.MEAN_REF)
"""What an island, and whoever merges, hears of."""


class Here(Protocol):
    """The process that a client belongs to."""

    @property
    def process(self) -> Process:
        """Who it is."""
        ...

    def now(self) -> float:
        """Seconds."""
        ...

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def until(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Until something is so, or for so long; whether it is."""
        ...

    def call(self, address: str, point: str, call: Call[T]) -> T:
        """Make one attempt of a call.

        Raises:
            CallError: it ended with a status, or nobody knows how.
        """
        ...

    def stopping(self) -> bool:
        """Whether it was told to stop."""
        ...

    def news(self) -> int:
        """How often the hub has had something to tell."""
        ...

    def hub(self) -> int:
        """Which process answers as the hub; 0 while none can be reached."""
        ...


class Stub:
    """Implements `ports.Artifacts` and `ports.Progress`."""

    def __init__(self, here: Here, hub: str, patience: Patience) -> None:
        self._here = here
        self._hub = hub
        self._patience = patience
        self._answered = False
        self._bases = Bases(lambda name, depth: self._fetched(name.ref, None, name, depth))
        self._avoided: dict[str, float] = {}
        self._latest: ProgressReport | None = None
        self._sent: ProgressReport | None = None

    def publish(self, ref: Ref, artifact: Artifact) -> Binding:
        """See `ports.Artifacts.publish`."""
        return self.upload(ref, encode(artifact))

    def upload(self, ref: Ref, encoded: Encoded) -> Binding:
        """As `publish`, of what is encoded."""
        return self._retry(lambda: self._publish(ref, encoded))

    def fetch(self, ref: Ref) -> Artifact:
        """See `ports.Artifacts.fetch`."""
        return self._fetched(ref)

    def fetch_from_anybody(self, ref: Ref, patience_seconds: float) -> Artifact:
        """See `ports.Onlooker.fetch`."""
        return self._fetched(ref, patience_seconds)

    def bindings(self, prefix: str = "") -> Mapping[Ref, Binding]:
        """See `ports.Artifacts.bindings`."""
        found = (from_wire(it) for it in self._snapshot().bindings if it.ref.startswith(prefix))
        return {binding.ref: binding for binding in found}

    def drop(self, refs: Sequence[Ref]) -> None:
        """See `ports.Artifacts.drop`."""
        self.ask("Drop", lambda it: it.exchange.Drop(pb.DropRequest(refs=refs), self._me()))

    def excuse(self, ref: Ref) -> Binding:
        """See `ports.Onlooker.excuse`."""
        request = pb.ExcuseRequest(ref=ref)
        answer = self.ask("Excuse", lambda it: it.exchange.Excuse(request, self._me()))
        return from_wire(answer.binding)

    def hold(self, ref: Ref, encoded: Encoded, address: str) -> Binding:
        """Bind a ref whose bytes stay here."""
        request = pb.HoldRequest(ref=ref, manifest=encoded.manifest.to_bytes(), address=address)
        answer = self.ask("Hold", lambda it: it.exchange.Hold(request, self._me()))
        return from_wire(answer.binding)

    def report(self, report: ProgressReport) -> None:
        """See `ports.Progress.report`."""
        self._latest = report

    def flush(self) -> None:
        """See `ports.Progress.flush`."""
        try:
            self._retry(self._send_latest, 10.0)
        except WorkerError:
            return

    def snapshot(self) -> Mapping[str, ProgressReport]:
        """See `ports.Progress.snapshot`."""
        return {
            it.step_name: ProgressReport(it.done_count, it.total_count)
            for it in self._snapshot().steps
        }

    def send_now_and_then(self) -> None:
        """A strand: reports, once a second."""
        while True:
            self._here.pause(1.0)
            try:
                self._send_latest()
            except CallError:
                continue

    def ask(self, point: str, call: Call[T]) -> T:
        """A call to the hub, until it is answered."""
        return self._retry(lambda: self._here.call(self._hub, point, call))

    def watch(self, prefixes: Sequence[str]) -> list[pb.WatchResponse]:
        """All that a Watch tells at once.

        Raises:
            CallError: the hub is away.
        """
        request = pb.WatchRequest(prefixes=prefixes)

        async def listen(served: Served) -> list[pb.WatchResponse]:
            told, stream = list[pb.WatchResponse](), served.exchange.Watch(request, self._me())
            count = len(served.shelf.bindings())
            try:
                async with _briefly():
                    async for event in stream:
                        told.append(event)
            except TimeoutError:
                return told
            raise AssertionError(f"the hub ended a Watch of {count} refs")

        return self._here.call(self._hub, "Watch", listen)

    def _me(self, sends: Sequence[bytes] = ()) -> Any:
        return Caller(self._here.process, sends)

    def _snapshot(self) -> progress_pb.GetSnapshotResponse:
        request = progress_pb.GetSnapshotRequest()

        def call(served: Served) -> Awaitable[progress_pb.GetSnapshotResponse]:
            assert served.progress is not None
            return served.progress.GetSnapshot(request, self._me())

        return self.ask("GetSnapshot", call)

    def _send_latest(self) -> None:
        latest = self._latest
        if latest is None or latest is self._sent:
            return
        progress = progress_pb.StepProgress(
            step_name=self._here.process.step,
            done_count=latest.done,
            total_count=latest.total,
            message=latest.message[:200],
            loss=latest.loss,
        )
        request = progress_pb.ReportRequest(progress=progress)

        def call(served: Served) -> Awaitable[progress_pb.ReportResponse]:
            assert served.progress is not None
            return served.progress.Report(request, self._me())

        self._here.call(self._hub, "Report", call)
        self._sent = latest

    def _publish(self, ref: Ref, encoded: Encoded) -> Binding:
        request = pb.MissingRequest(ref=ref, manifest=encoded.manifest.to_bytes())
        while True:
            session = self._here.call(
                self._hub, "Missing", lambda it: it.exchange.Missing(request, self._me())
            )
            if not session.missing:
                break
            self._send_half(session, encoded)
        bind = pb.BindRequest(session_id=session.session_id)
        answer = self._here.call(self._hub, "Bind", lambda it: it.exchange.Bind(bind, self._me()))
        return from_wire(answer.binding)

    def _send_half(self, session: pb.MissingResponse, encoded: Encoded) -> None:
        """Of each piece: broken off in between, an upload goes on at the byte reached."""
        runs = [Run(it.begin, it.end) for it in session.missing]
        messages = []
        for position, parts in encoded.manifest.content.pieces(encoded.blobs, runs):
            content = b"".join(parts)
            half = content[: max(1, len(content) // 2)] if len(content) > 4096 else content
            messages.append(frames.encode_publish(session.session_id, position, [half]))
            if len(half) < len(content):
                break
        me = self._me(messages)
        self._here.call(self._hub, "Publish", lambda it: it.exchange.Publish(None, me))

    def _fetched(
        self,
        ref: Ref,
        patience_seconds: float | None = None,
        name: BaseName | None = None,
        depth: int = 0,
    ) -> Artifact:
        request = pb.ResolveRequest(ref=ref)
        answer = self._retry(
            lambda: self._here.call(
                self._hub, "Resolve", lambda it: it.exchange.Resolve(request, self._me())
            ),
            patience_seconds,
        )
        manifest = manifests.parse(answer.manifest)
        if name is not None:
            require_digest(name, manifest.digest)
        decoder = Decoder(manifest, None, self._bases.of(ref, manifest, depth))
        passage = Passage(manifest.content, decoder.wanted)
        download = _Download(ref, manifest, decoder, passage)
        if not answer.place.here and not self._from_holder(answer.place, download):
            self._want(ref, patience_seconds)
        self._retry(lambda: self._download(self._hub, download), patience_seconds)
        return decoder.finish()

    def _from_holder(self, place: pb.Place, download: "_Download") -> bool:
        address = place.holder_address
        if not address or self._here.now() < self._avoided.get(address, 0.0):
            return False
        try:
            self._retry(lambda: self._download(address, download), _HOLDER_SECONDS)
        except (UnavailableError, RejectedError):
            self._avoided[address] = self._here.now() + AVOID_SECONDS
            return False
        return True

    def _want(self, ref: Ref, patience_seconds: float | None) -> None:
        request = pb.WantRequest(ref=ref)

        def attempt() -> None:
            answer = self._here.call(
                self._hub, "Want", lambda it: it.exchange.Want(request, self._me())
            )
            if not answer.place.here:
                raise CallError(grpc.StatusCode.UNAVAILABLE, f"{ref} is still with its holder")

        self._retry(attempt, patience_seconds)

    def _download(self, address: str, download: "_Download") -> None:
        while not download.passage.done:
            ranges = [pb.ByteRange(begin=a, end=b) for a, b in download.passage.remaining()]
            request = pb.FetchRequest(
                ref=download.ref, manifest_digest=download.manifest.digest, ranges=ranges
            )
            me = self._me()
            self._here.call(address, "Fetch", lambda it: it.exchange.Fetch(request, me))  # noqa: B023
            for message in me.written:
                download.take(message)

    def _retry(self, attempt: Callable[[], T], patience_seconds: float | None = None) -> T:
        """As `Connection.retry`."""
        if patience_seconds is None:
            later, first = self._patience.later_seconds, self._patience.first_seconds
            patience_seconds = later if self._answered else first
        began, failures = self._here.now(), 0
        while True:
            try:
                result = attempt()
            except CallError as error:
                if error.code not in RETRYABLE:
                    raise REFUSALS.get(error.code, WorkerError)(error.details) from error
                failures += 1
                self._give_up(began, patience_seconds, error.details)
            else:
                self._answered = True
                return result
            self._here.pause(backoff_seconds(failures, 0.5))

    def _give_up(self, began: float, patience_seconds: float, why: str) -> None:
        still_seconds = self._here.now() - began
        if self._here.stopping() and still_seconds >= LAST_SECONDS:
            raise DisruptedError(f"told to stop while the hub did not answer: {why}")
        if still_seconds >= patience_seconds:
            raise UnavailableError(f"the hub did not answer for {patience_seconds:.0f} s ({why})")


class _Download:
    def __init__(self, ref: Ref, manifest: Manifest, decoder: Decoder, passage: Passage) -> None:
        self.ref, self.manifest, self.passage = ref, manifest, passage
        self._decoder = decoder

    def take(self, message: bytes) -> None:
        position, content = frames.decode_fetch(message)
        if not content:
            return
        self.passage.expect(position, len(content))
        self._decoder.write(position, content)
        try:
            self.passage.take(content)
        except AlteredError as error:
            raise CorruptArtifactError(f"blob {error} of {self.ref} arrived altered") from error


def _briefly() -> Any:
    import asyncio

    return asyncio.timeout(0.001)


class Around:
    """Implements `ports.Neighbourhood`: what an island offers stays in its memory."""

    def __init__(self, here: Here, stub: Stub, address: str) -> None:
        self.shelf = Snapshots()
        self._here = here
        self._stub = stub
        self._address = address
        self._offered: dict[Ref, Encoded] = {}
        self._bound: dict[str, str] = {}
        self._telling = False

    def offer(self, ref: Ref, artifact: Artifact) -> Binding:
        """See `ports.Neighbourhood.offer`."""
        encoded = encode(artifact)
        self.shelf.offer(ref, encoded.manifest, encoded.blobs)
        self._offered[ref] = encoded
        try:
            binding = self._stub.hold(ref, encoded, self._address)
        except WorkerError:
            self._let_go([ref])
            raise
        if binding.digest != encoded.manifest.digest:
            self._let_go([ref])
        return binding

    def withdraw(self, refs: Sequence[Ref]) -> None:
        """See `ports.Neighbourhood.withdraw`."""
        with self._telling_alone():
            self._stub.drop(refs)
            self._let_go(refs)

    def wait(self, refs: Collection[Ref], seconds: float) -> Mapping[Ref, str]:
        """See `ports.Onlooker.wait`."""
        self._here.until(lambda: all(ref in self._bound for ref in refs), seconds)
        return {ref: self._bound[ref] for ref in refs if ref in self._bound}

    def fetch(self, ref: Ref, patience_seconds: float) -> Artifact:
        """See `ports.Onlooker.fetch`."""
        return self._stub.fetch_from_anybody(ref, patience_seconds)

    def excuse(self, ref: Ref) -> Binding:
        """See `ports.Onlooker.excuse`."""
        return self._stub.excuse(ref)

    def listen(self) -> None:
        """A strand: hear what is bound, and hold again after a hub was lost."""
        here, known = self._here, 0
        while True:
            heard, hub = here.news(), here.hub()
            try:
                told = self._stub.watch(SEEN)
                if hub != known:
                    self._hold_again()
                known = hub
            except CallError:
                known = 0
            else:
                self._hear(told)
            here.pause(0.2)
            here.until(lambda: here.news() != heard or here.hub() != known, 60.0)  # noqa: B023

    def _hear(self, told: Sequence[pb.WatchResponse]) -> None:
        for event in told:
            if event.WhichOneof("event") == "wanted_ref":
                self._publish(Ref(event.wanted_ref))
            else:
                binding = event.bound.binding
                self._bound[binding.ref] = binding.manifest_digest

    def _hold_again(self) -> None:
        for ref in list(self._offered):
            with self._telling_alone(), suppress(WorkerError):
                if (encoded := self._offered.get(ref)) is not None:
                    self._stub.hold(ref, encoded, self._address)

    def _publish(self, ref: Ref) -> None:
        with self._telling_alone(), suppress(WorkerError):
            if (encoded := self._offered.get(ref)) is not None:
                self._stub.upload(ref, encoded)

    @contextmanager
    def _telling_alone(self) -> Iterator[None]:
        """As `Offering` does with a lock: nothing may bind a ref after its Drop."""
        self._here.until(lambda: not self._telling, FOREVER)
        self._telling = True
        try:
            yield
        finally:
            self._telling = False

    def _let_go(self, refs: Sequence[Ref]) -> None:
        for ref in refs:
            self._offered.pop(ref, None)
        self.shelf.drop(refs)
