"""The world of a role in memory: small, typed, and held to the suite of the real one.

For tests, and for running a role without a hub.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from atoll_api.names import Ref
from atoll_worker.errors import RejectedError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.bases import BaseName, Bases, require_digest
from atoll_worker.exchange.decoding import Decoder
from atoll_worker.exchange.encoding import check_ref, encode
from atoll_worker.exchange.manifest import Manifest
from atoll_worker.ports import Artifact, Binding, ProgressReport


class MemoryArtifacts:
    """An artifact store in memory; digests are those of the real one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bases = Bases(lambda name, depth: self._fetch(name.ref, name, depth))
        self._contents: dict[str, tuple[bytes, bytes]] = {}
        """Manifest and content by the manifest's digest."""
        self._bindings: dict[Ref, Binding] = {}

    def publish(self, ref: Ref, artifact: Artifact) -> Binding:
        """See `ports.Artifacts.publish`."""
        check_ref(ref)
        encoded = encode(artifact)
        manifest = encoded.manifest
        binding = Binding(ref, manifest.digest, manifest.size_bytes, manifest.parents)
        with self._lock:
            if ref in self._bindings:
                return self._bindings[ref]
            self._contents[manifest.digest] = (manifest.to_bytes(), b"".join(encoded.blobs))
            self._bindings[ref] = binding
        return binding

    def fetch(self, ref: Ref) -> Artifact:
        """See `ports.Artifacts.fetch`."""
        return self._fetch(ref)

    def _fetch(self, ref: Ref, name: BaseName | None = None, depth: int = 0) -> Artifact:
        manifest = self._resolve(ref)
        if name is not None:
            require_digest(name, manifest.digest)
        decoder = Decoder(manifest, base=self._bases.of(ref, manifest, depth))
        decoder.write(0, memoryview(self._contents[manifest.digest][1]))
        return decoder.finish()

    def _resolve(self, ref: Ref) -> Manifest:
        check_ref(ref)
        with self._lock:
            if ref not in self._bindings:
                raise RejectedError(f"nothing is bound to {ref}: publish it first")
            return manifests.parse(self._contents[self._bindings[ref].digest][0])

    def bindings(self, prefix: str = "") -> Mapping[Ref, Binding]:
        """See `ports.Artifacts.bindings`."""
        with self._lock:
            return {ref: it for ref, it in self._bindings.items() if ref.startswith(prefix)}

    def drop(self, refs: Sequence[Ref]) -> None:
        """See `ports.Artifacts.drop`."""
        with self._lock:
            for ref in refs:
                self._bindings.pop(ref, None)


class MemoryCircle:
    """Islands of one process, each on its own thread: one works while the others wait.

    So their results do not depend on who is fast, and torch's one random state is never shared.
    """

    def __init__(self, artifacts: MemoryArtifacts) -> None:
        self.artifacts = artifacts
        self._news = threading.Condition()

    @contextmanager
    def working(self) -> Iterator["MemoryNeighbourhood"]:
        """For the thread of one island: its turn, given up whenever it waits."""
        with self._news:
            try:
                yield MemoryNeighbourhood(self.artifacts, self._news)
            finally:
                self._news.notify_all()


class MemoryNeighbourhood:
    """Implements `ports.Neighbourhood`, and with it `ports.Onlooker`."""

    def __init__(self, artifacts: MemoryArtifacts, news: threading.Condition) -> None:
        self._artifacts = artifacts
        self._news = news

    def wait(self, refs: Collection[Ref], seconds: float) -> Mapping[Ref, str]:
        """See `ports.Onlooker.wait`."""

        def all_there() -> bool:
            return all(ref in self._artifacts.bindings() for ref in refs)

        with self._news:
            self._news.notify_all()  # what this thread has bound since is news to others
            self._news.wait_for(all_there, seconds)
        bound = self._artifacts.bindings()
        return {ref: bound[ref].digest for ref in refs if ref in bound}

    def fetch(self, ref: Ref, patience_seconds: float) -> Artifact:
        """See `ports.Onlooker.fetch`."""
        del patience_seconds
        return self._artifacts.fetch(ref)

    def excuse(self, ref: Ref) -> Binding:
        """See `ports.Onlooker.excuse`."""
        return self._artifacts.publish(ref, Artifact({}))  # of `ABSENCE`'s digest

    def offer(self, ref: Ref, artifact: Artifact) -> Binding:
        """See `ports.Neighbourhood.offer`."""
        return self._artifacts.publish(ref, artifact)

    def withdraw(self, refs: Sequence[Ref]) -> None:
        """See `ports.Neighbourhood.withdraw`."""
        self._artifacts.drop(refs)


class MemoryProgress:
    """Progress of one step among those that share `reports`."""

    def __init__(self, step: str, reports: dict[str, ProgressReport] | None = None) -> None:
        self._step = step
        self._reports = {} if reports is None else reports
        self.history: list[ProgressReport] = []
        """Every report of this step, in order."""

    def report(self, report: ProgressReport) -> None:
        """See `ports.Progress.report`."""
        self.history.append(report)
        self._reports[self._step] = report

    def flush(self) -> None:
        """See `ports.Progress.flush`."""

    def snapshot(self) -> Mapping[str, ProgressReport]:
        """See `ports.Progress.snapshot`."""
        return dict(self._reports)


class MemoryStop:
    """A stop flag that a test raises; `after_checks` raises it by itself."""

    def __init__(self, after_checks: int | None = None) -> None:
        self._checks_left = after_checks
        self._requested = False

    def request(self) -> None:
        """Tell the process to stop."""
        self._requested = True

    def requested(self) -> bool:
        """True once requested, or once it was asked more than `after_checks` times."""
        if self._checks_left is not None:
            self._requested = self._requested or self._checks_left <= 0
            self._checks_left -= 1
        return self._requested
