"""Small artifacts as a peer sees them, manifest and content, made without torch."""

from dataclasses import dataclass
from functools import cached_property

from atoll_worker.exchange.content import Blob, digest_of
from atoll_worker.exchange.manifest import Manifest, TensorEntry


@dataclass(frozen=True)
class Parcel:
    """One artifact of bytes, a tensor a blob."""

    blobs: tuple[bytes, ...]
    encoding: str = "raw"

    @cached_property
    def manifest(self) -> Manifest:
        return Manifest(tuple(self._entry(i, blob) for i, blob in enumerate(self.blobs)))

    def _entry(self, index: int, blob: bytes) -> TensorEntry:
        listed = (Blob(digest_of(blob), len(blob)),)
        return TensorEntry(f"t{index}", "uint8", (len(blob),), self.encoding, listed)

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @cached_property
    def content(self) -> bytes:
        return b"".join(dict.fromkeys(self.blobs))


def parcels(salt: int) -> tuple[Parcel, ...]:
    """Some that share blobs, one of them in two pieces, and an empty one; others by each salt."""
    shared, small, long = (f"{salt} {i} ".encode() * count for i, count in enumerate((40, 3, 900)))
    return (
        Parcel((shared, small)),
        Parcel((long, shared)),
        Parcel((small, small, shared * 2)),
        Parcel((bytes([salt % 251]) * ((1 << 20) + 5),)),
        Parcel(()),
    )
