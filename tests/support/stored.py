"""Artifacts of plain bytes, put into a store and read back without a wire."""

from atoll_worker.exchange.content import PIECE_BYTES, Blob, Run, digest_of
from atoll_worker.exchange.manifest import Manifest, TensorEntry
from atoll_worker.exchange.store import Store


def manifest_of(*contents: bytes, **metadata: str) -> Manifest:
    """One blob and one tensor each."""
    tensors = tuple(
        TensorEntry(f"t{i}", "uint8", (len(it),), "raw", (Blob(digest_of(it), len(it)),))
        for i, it in enumerate(contents)
    )
    return Manifest(tensors, metadata)


def whole(*contents: bytes) -> bytes:
    """The content of their manifest."""
    return b"".join(dict.fromkeys(contents))


def send(
    store: Store, session: str, content: bytes, missing: "list[Run] | tuple[Run, ...]"
) -> None:
    """Send these bytes of a content."""
    writer = store.writer(session)
    for begin, end in missing:
        for at in range(begin, end, PIECE_BYTES):
            writer.write(at, memoryview(content)[at : min(end, at + PIECE_BYTES)])


def upload(store: Store, ref: str, *contents: bytes, **metadata: str) -> str:
    """Send what is missing; the session."""
    session, missing = store.open_upload(ref, manifest_of(*contents, **metadata).to_bytes())
    send(store, session, whole(*contents), list(missing))
    return session


def publish(store: Store, ref: str, *contents: bytes, **metadata: str) -> str:
    """Send what is missing and bind; the digest that stands."""
    return store.bind(upload(store, ref, *contents, **metadata), 60.0)[0].digest


def read_back(store: Store, ref: str) -> list[bytes]:
    """The blobs of a ref."""
    bound, manifest = store.resolve(ref)
    assert digest_of(manifest) == bound.digest
    content, found = bound.content, b""
    runs = [Run(0, content.size_bytes)] if content.size_bytes else []
    for position, parts in store.read(ref, bound.digest, runs):
        assert position == len(found)
        found += b"".join(parts)
    return [
        found[begin : begin + blob.size_bytes]
        for begin, blob in zip(content.starts, content.blobs, strict=False)
    ]
