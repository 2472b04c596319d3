"""What the islands of a run noted of their rounds, as the store of its hub has it."""

from typing import Any

from atoll_worker.errors import CorruptArtifactError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.shelf import NotBoundError
from atoll_worker.exchange.store import Store


def records(store: Store) -> dict[str, Any]:
    """What each island noted of each round, by ref; nothing of what was altered on the disk."""
    refs = (it.ref for it in store.bindings() if "/merges/" in it.ref)
    return {ref: dict(_manifest(store, ref).metadata) for ref in refs if readable(store, ref)}


def readable(store: Store, ref: str) -> bool:
    """Whether what a ref is bound to can be had."""
    try:
        store.resolve(ref)
    except (CorruptArtifactError, NotBoundError):
        return False
    return True


def _manifest(store: Store, ref: str) -> manifests.Manifest:
    _, content = store.resolve(ref)
    return manifests.parse(content)
