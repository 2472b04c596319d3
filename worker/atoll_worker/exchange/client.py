"""A process's side of the exchange: `ports.Artifacts` and `ports.Progress` on one channel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll_api.names import Ref
from atoll_telemetry import tracing
from atoll_worker.errors import CorruptArtifactError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.bases import BaseName, Bases, require_digest
from atoll_worker.exchange.connection import UNARY_SECONDS, Connection, Effort, Patience
from atoll_worker.exchange.content import digest_of
from atoll_worker.exchange.decoding import Decoder
from atoll_worker.exchange.encoding import Encoded, check_ref, encode
from atoll_worker.exchange.identity import Credentials
from atoll_worker.exchange.peers import Peers
from atoll_worker.exchange.reporter import HubProgress
from atoll_worker.exchange.traffic import Traffic
from atoll_worker.exchange.transfer import Download, Upload
from atoll_worker.ports import Artifact, Binding, ProgressReport
from atoll_worker.tally import Tally


@dataclass(frozen=True)
class _Asked:
    """See `ExchangeClient.fetch`."""

    ref: Ref
    into: Mapping[str, Tensor] | None = None
    compare: bool = False
    patience_seconds: float | None = None


class ExchangeClient:
    """What a process sees of its hub: `ports.Artifacts` and `ports.Progress` of one step.

    Nothing is dialled before the first call: a hub that does not answer raises there. `close`,
    or leaving the `with` block, sends the last report.
    """

    def __init__(
        self,
        address: str,
        credentials: Credentials,
        patience: Patience | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.tally = tally or Tally()
        """Told of every call and byte; its totals go to the hub with the reports."""
        self.connection = Connection(address, credentials, patience or Patience(), tally=self.tally)
        """To the hub."""
        self._peers = Peers(self.connection, credentials)
        self._progress = HubProgress(self.connection, credentials.process.step)
        self._bases = Bases(lambda name, depth: self._fetch(_Asked(name.ref), name, depth))
        self.traffic = Traffic()
        self.tally.follow(self.traffic)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Send the last report and close the channel."""
        self._progress.close()
        self._peers.close()
        self.connection.close()

    def report(self, report: ProgressReport) -> None:
        """See `ports.Progress.report`: stores a reference, which a thread sends."""
        self._progress.report(report)

    def flush(self) -> None:
        """See `ports.Progress.flush`."""
        self._progress.flush()

    def snapshot(self) -> Mapping[str, ProgressReport]:
        """See `ports.Progress.snapshot`."""
        return self._progress.snapshot()

    def publish(self, ref: Ref, artifact: Artifact) -> Binding:
        """See `ports.Artifacts.publish`."""
        check_ref(ref)
        return self.upload(ref, encode(artifact))

    def upload(self, ref: Ref, encoded: Encoded) -> Binding:
        """As `publish`, of what is encoded already."""
        with tracing.span("publish", ref=ref, bytes=encoded.manifest.size_bytes):
            return self.connection.retry(lambda effort: self._publish(ref, encoded, effort))

    def fetch(
        self,
        ref: Ref,
        into: Mapping[str, Tensor] | None = None,
        *,
        compare: bool = False,
        patience_seconds: float | None = None,
    ) -> Artifact:
        """See `ports.Artifacts.fetch`.

        Args:
            ref: What to fetch.
            into: Tensors by name; one that fits is overwritten and returned, which costs less
                than new memory.
            compare: Look first whether a tensor of `into` has the very bytes; if so, they are
                not fetched. Costs 0.13 CPU-s/GB.
            patience_seconds: How long to retry while nothing moves, if that is not the usual.
        """
        with tracing.span("fetch", ref=ref):
            return self._fetch(_Asked(ref, into, compare, patience_seconds))

    def excuse(self, ref: Ref) -> Binding:
        """Bind a ref to nothing if nothing is bound to it yet; what stands."""
        request = pb.ExcuseRequest(ref=check_ref(ref))
        answer = self.connection.retry(
            lambda _: self.connection.exchange.Excuse(request, timeout=UNARY_SECONDS)
        )
        return from_wire(answer.binding)

    def _fetch(self, asked: "_Asked", name: BaseName | None = None, depth: int = 0) -> Artifact:
        ref = Ref(check_ref(asked.ref))
        answer = self.connection.retry(
            lambda _: self.connection.exchange.Resolve(
                pb.ResolveRequest(ref=ref), timeout=UNARY_SECONDS
            ),
            asked.patience_seconds,
        )
        if digest_of(answer.manifest) != answer.binding.manifest_digest:
            raise CorruptArtifactError(f"the manifest of {ref} arrived altered: run again")
        try:
            manifest = manifests.parse(answer.manifest)
        except manifests.ManifestError as error:
            raise CorruptArtifactError(f"{ref} cannot be read: {error}") from error
        if name is not None:
            require_digest(name, manifest.digest)
        base = self._bases.of(ref, manifest, depth)
        decoder = Decoder(manifest, asked.into, base, compare=asked.compare)
        tracing.note(bytes=manifest.size_bytes)
        download = Download(ref, manifest, decoder, self.traffic)
        self._peers.read(ref, answer.place, download, asked.patience_seconds)
        return decoder.finish()

    def bindings(self, prefix: str = "") -> Mapping[Ref, Binding]:
        """See `ports.Artifacts.bindings`."""
        answer = self.connection.retry(
            lambda _: self.connection.progress.GetSnapshot(
                progress_pb.GetSnapshotRequest(), timeout=UNARY_SECONDS
            )
        )
        found = (from_wire(it) for it in answer.bindings if it.ref.startswith(prefix))
        return {binding.ref: binding for binding in found}

    def drop(self, refs: Sequence[Ref]) -> None:
        """See `ports.Artifacts.drop`."""
        self.connection.retry(
            lambda _: self.connection.exchange.Drop(
                pb.DropRequest(refs=refs), timeout=UNARY_SECONDS
            )
        )

    def _publish(self, ref: Ref, encoded: Encoded, effort: Effort) -> Binding:
        """One attempt; the hub says each time what it still lacks, and how far it came."""
        exchange = self.connection.exchange
        request = pb.MissingRequest(ref=ref, manifest=encoded.manifest.to_bytes())
        upload = Upload(encoded, self.traffic)
        session = exchange.Missing(request, timeout=UNARY_SECONDS)
        while session.missing and not upload.run(self.connection, session, effort):
            session = exchange.Missing(request, timeout=UNARY_SECONDS)
        bind = pb.BindRequest(session_id=session.session_id)
        return from_wire(exchange.Bind(bind, timeout=UNARY_SECONDS).binding)


def from_wire(binding: pb.Binding) -> Binding:
    """A binding as roles know it."""
    return Binding(
        ref=Ref(binding.ref),
        digest=binding.manifest_digest,
        size_bytes=binding.size_bytes,
        parents=tuple(binding.parent_digests),
    )
