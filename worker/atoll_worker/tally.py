"""What a process counts of itself, in the words of what it does. No torch.

Roles and the exchange say what happened; here it becomes numbers of the catalogue. A tally without
instruments counts nothing: for tests, for a role within another process, and for who wants none.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

from atoll_telemetry.families import Family, Kind, Number
from atoll_worker import metrics
from atoll_worker.exchange.traffic import Traffic

if TYPE_CHECKING:  # not at run time: whoever counts nothing needs no library for it
    from prometheus_client.registry import Collector

    from atoll_telemetry.instruments import Instruments

Merged = Literal["complete", "partial", "alone"]
Side = Literal["client", "server"]
Seen = dict[tuple[str, ...], float]
"""What a count that is another's was when it was looked at last, by labels."""

_NAN_AT_FIRST: Final = (
    *(metrics.TRAIN_LOSS, metrics.TRAIN_GRADIENT_NORM, metrics.MERGEABILITY_GAP),
    *(metrics.CONSENSUS_DISTANCE, metrics.ROUTER_ACCURACY),
)
_TOLD: Final = tuple(family for family in metrics.ALL if family.name in metrics.REPORTED)
"""What a process tells its hub."""
_PEERS: Final = frozenset(metrics.PEER.values)
_METHODS: Final = frozenset(metrics.METHOD.values)


class Tally:
    """Safe to use from several threads.

    Nothing here raises: what is not in the catalogue of this process is passed over.
    """

    def __init__(
        self, into: "Instruments | None" = None, clock: Callable[[], float] = time.time
    ) -> None:
        """Begin.

        Args:
            into: where numbers go; None: nowhere.
            clock: seconds since the epoch.
        """
        self._into = into
        self._clock = clock
        self._lock = threading.Lock()
        self._looks: list[Callable[[], None]] = []
        self._sockets: Seen = {}
        self._measured: set[tuple[str, tuple[str, ...]]] = set()
        self.port = 0
        """Where this process is scraped; 0: nowhere."""
        for family in _NAN_AT_FIRST:
            if into is not None and family in into:
                for labels in family.known_series():
                    into.set(family, math.nan, *labels)

    @property
    def counts(self) -> bool:
        """Whether numbers go anywhere: what costs something is not measured otherwise."""
        return self._into is not None

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All numbers as text, and the type of that text, for an `Accept` header."""
        assert self._into is not None, "whoever counts nothing shows nothing"
        self._look()
        return self._into.exposition(accept)

    def totals(self) -> tuple[Number, ...]:
        """What the hub is told: counters, and those gauges that were measured."""
        if self._into is None:
            return ()
        self._look()
        counters = {family.name for family in _TOLD if family.kind is Kind.COUNTER}
        return tuple(
            number
            for number in self._into.numbers(_TOLD)
            if number.name in counters or (number.name, number.labels) in self._measured
        )

    def look_first(self, look: Callable[[], None]) -> None:
        """Call this before numbers are read, on any thread; one call at a time."""
        with self._lock:
            self._looks.append(look)

    @contextmanager
    def looking(self, look: Callable[[], None]) -> Iterator[None]:
        """As `look_first`, until the block ends, and at its end once more."""
        self.look_first(look)
        try:
            yield
        finally:
            with self._lock:
                self._looks.remove(look)
                look()

    def show_too(self, more: "Collector") -> None:
        """Numbers that are made when they are asked for."""
        if self._into is not None:
            self._into.registry.register(more)

    # -- everybody ------------------------------------------------------------------------------
    def is_of(self, version: str, role: str) -> None:
        """Which Atoll this is, and what."""
        self._set(metrics.BUILD_INFO, 1.0, version, role)

    def certified_until(self, timestamp_seconds: float) -> None:
        """When the certificate of this process ends."""
        self._set(metrics.CERTIFICATE_EXPIRY, timestamp_seconds)

    def follow(self, traffic: Traffic) -> None:
        """Count what is counted there."""
        seen: Seen = {}
        self.look_first(lambda: self._follow(traffic, seen))

    def call_ended(self, method: str, side: Side, code: str, seconds: float) -> None:
        """A gRPC call is over."""
        known = method if method in _METHODS else "other"
        self._observe(metrics.RPC_SECONDS, seconds, known, side, code)

    # -- training -------------------------------------------------------------------------------
    def training_begins(self, target_steps: int, checkpoint_seconds: float, *, gpu: bool) -> None:
        """What is to be done; with a GPU, its families are there from now on."""
        if gpu and self._into is not None:
            self._into.include(metrics.GPU)
        self._set(metrics.TRAIN_START, self._clock())
        self._set(metrics.TRAIN_TARGET_STEPS, target_steps)
        self._set(metrics.CHECKPOINT_INTERVAL, checkpoint_seconds)

    def stepped(self, seconds: float) -> None:
        """One optimizer step took so long."""
        self._observe(metrics.TRAIN_STEP_SECONDS, seconds)

    def trained(self, steps: int, samples: int, tokens: int) -> None:
        """So much more was done."""
        self._add(metrics.TRAIN_STEPS, steps)
        self._add(metrics.TRAIN_SAMPLES, samples)
        self._add(metrics.TRAIN_TOKENS, tokens)

    def loss_is(self, split: Literal["train", "holdout"], loss: float) -> None:
        """Of the last stretch of training, or at its end."""
        self._set(metrics.TRAIN_LOSS, loss, split)

    def gradient_is(self, norm: float, learning_rate: float) -> None:
        """Of the last step."""
        self._set(metrics.TRAIN_GRADIENT_NORM, norm)
        self._set(metrics.TRAIN_LEARNING_RATE, learning_rate)

    def loss_was_not_finite(self) -> None:
        """The loss, or a weight, was NaN or infinite."""
        self._add(metrics.TRAIN_LOSS_NOT_FINITE, 1)

    def isolated(self, *, isolated: bool) -> None:
        """Whether this island may exchange nothing with others while it trains."""
        self._set(metrics.TRAIN_ISOLATED, float(isolated))

    def sockets_moved(self, peer: str, sent_bytes: int, received_bytes: int) -> None:
        """What passed on this process's sockets since it began to train."""
        seen = self._sockets
        self._reach(metrics.SOCKET_BYTES, seen, sent_bytes, "sent", peer)
        self._reach(metrics.SOCKET_BYTES, seen, received_bytes, "received", peer)

    def gpu_held(self, seconds: float, held_bytes: int, peak_bytes: int) -> None:
        """For so much longer this process has trained on its GPU; what it holds of its memory."""
        self._add(metrics.GPU_SECONDS, seconds)
        self._set(metrics.GPU_MEMORY, held_bytes)
        self._set(metrics.GPU_PEAK_MEMORY, peak_bytes)

    def checkpoint_saved(self, seconds: float, size_bytes: int) -> None:
        """It is safe, so long after it was taken."""
        self._add(metrics.CHECKPOINTS, 1, "success")
        self._observe(metrics.CHECKPOINT_SECONDS, seconds)
        self._set(metrics.CHECKPOINT_BYTES, size_bytes)
        self._set(metrics.CHECKPOINT_TIME, self._clock())

    def checkpoint_failed(self) -> None:
        """It could not be saved."""
        self._add(metrics.CHECKPOINTS, 1, "error")

    # -- merging --------------------------------------------------------------------------------
    def merged(self, result: Merged) -> None:
        """This island has merged, with whom it could."""
        self._add(metrics.MERGES, 1, result)

    def merge_took(self, seconds: float) -> None:
        """One merge of this process is over."""
        self._observe(metrics.MERGE_SECONDS, seconds)

    def waited(self, seconds: float) -> None:
        """This island waited for others."""
        self._add(metrics.MERGE_WAIT_SECONDS, max(0.0, seconds))

    def rounds_done(self, rounds: int) -> None:
        """So many rounds are behind this island."""
        self._set(metrics.ROUND, rounds)

    def merge_is(self, gap: float, consensus_distance: float) -> None:
        """How well the islands merge."""
        self._set(metrics.MERGEABILITY_GAP, gap)
        self._set(metrics.CONSENSUS_DISTANCE, consensus_distance)

    def router_is_right(self, share: float) -> None:
        """Of so much of the holdout, the router knows whose it is."""
        self._set(metrics.ROUTER_ACCURACY, share)

    # -- the hub --------------------------------------------------------------------------------
    def store_is(self, stored_bytes: int, quota_bytes: int, artifacts: int, uploads: int) -> None:
        """How full the hub's store is; a quota of 0 is none."""
        self._set(metrics.HUB_STORED, stored_bytes)
        self._set(metrics.HUB_QUOTA, quota_bytes)
        self._set(metrics.HUB_ARTIFACTS, artifacts)
        self._set(metrics.HUB_UPLOADS, uploads)

    def disk_is(self, free_bytes: int, size_bytes: int) -> None:
        """How full the disk below it is."""
        self._set(metrics.HUB_DISK_FREE, free_bytes)
        self._set(metrics.HUB_DISK_SIZE, size_bytes)

    def steps_told(self, times: Iterable[tuple[str, float]]) -> None:
        """When each step told the hub of itself last."""
        for step, timestamp_seconds in times:
            self._set(metrics.HUB_REPORT_TIME, timestamp_seconds, step)

    def _follow(self, traffic: Traffic, seen: Seen) -> None:
        passed: dict[tuple[str, str, str], int] = {}
        for label, count_bytes in traffic.counts().items():
            peer = label.peer if label.peer in _PEERS else "other"
            key = (label.direction, peer, label.phase)
            passed[key] = passed.get(key, 0) + count_bytes
        for labels, count_bytes in passed.items():
            self._reach(metrics.COMM_BYTES, seen, count_bytes, *labels)

    def _look(self) -> None:
        with self._lock:  # a scrape and a report may come together
            for look in self._looks:
                look()

    def _reach(self, family: Family, seen: Seen, total: float, *labels: str) -> None:
        """Let a counter grow by what the count of another has grown since it was seen last."""
        before = seen.get(labels, 0)
        if total > before:
            seen[labels] = total
            self._add(family, total - before, *labels)

    def _add(self, family: Family, amount: float, *labels: str) -> None:
        if self._into is not None and family in self._into and amount > 0:
            self._into.add(family, amount, *labels)

    def _set(self, family: Family, value: float, *labels: str) -> None:
        if self._into is not None and family in self._into:
            self._into.set(family, value, *labels)
            self._measured.add((family.name, labels))

    def _observe(self, family: Family, value: float, *labels: str) -> None:
        if self._into is not None and family in self._into:
            self._into.observe(family, value, *labels)
