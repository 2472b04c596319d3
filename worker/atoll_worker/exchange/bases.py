"""What a delta was taken against: named in the manifest, fetched by whoever reads the delta.

Decides what a reader holds and how deep it looks; bytes are moved by whoever it asks.
"""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from atoll_api.names import Ref
from atoll_worker.errors import ContractError, CorruptArtifactError, RejectedError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.codecs import layout
from atoll_worker.exchange.manifest import Manifest, ManifestError
from atoll_worker.ports import Artifact, Base

ENCODING_KEY: Final = "encoding"
"""Where the metadata of a rounded artifact say how, within which bound, and against what."""
MAX_DEPTH: Final = 4
"""A base may be a delta itself: each costs a reader one more fetch, and memory."""


@dataclass(frozen=True)
class BaseName:
    """A base as a manifest names it."""

    ref: Ref
    digest: str

    def to_document(self) -> dict[str, JsonValue]:
        """As it stands in the metadata."""
        return {"ref": str(self.ref), "digest": self.digest}


Fetch = Callable[[BaseName, int], Artifact]
"""(what, how many readers deep) -> the artifact, if the ref is bound to that digest."""


class Bases:
    """The bases that a process holds: each is fetched once for all that was taken against it.

    They are kept for as long as an artifact that was decoded with them.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._held: weakref.WeakValueDictionary[str, Base] = weakref.WeakValueDictionary()

    def of(self, ref: Ref, manifest: Manifest, depth: int = 0) -> Base | None:
        """The base of an artifact; None if it is no delta.

        Raises:
            CorruptArtifactError: it is a delta and names no base.
            ContractError: the base is gone, another, or too many deltas deep.
            UnavailableError: the base cannot be fetched now.
        """
        name = base_name(ref, manifest)
        if name is None:
            return None
        base = self._held.get(name.digest)
        if base is None and depth < MAX_DEPTH:
            base = Base(name.ref, name.digest, self._fetched(ref, name, depth + 1))
        if base is None or depth + base.depth > MAX_DEPTH:
            raise ContractError(
                f"more than {MAX_DEPTH} deltas rest on one another, {ref} on {name.ref}: publish one "
                "of them with exchange.encoding Raw"
            )
        self._held[base.digest] = base
        return base

    def _fetched(self, ref: Ref, name: BaseName, depth: int) -> Artifact:
        try:
            return self._fetch(name, depth)
        except RejectedError as error:
            raise ContractError(
                f"{ref} is a delta against {name.ref}, which cannot be fetched: {error}; "
                f"without it {ref} cannot be read: publish both again"
            ) from error


def base_name(ref: Ref, manifest: Manifest) -> BaseName | None:
    """What a manifest was taken against; None if no tensor needs it.

    Raises:
        CorruptArtifactError: a tensor needs it, and it is not named.
    """
    if not any(layout.needs_base(tensor.encoding) for tensor in manifest.tensors):
        return None
    said = manifest.metadata.get(ENCODING_KEY)
    match said.get("base") if isinstance(said, Mapping) else None:
        case {"ref": str(base), "digest": str(digest)}:
            try:
                return BaseName(Ref(manifests.check_ref(base)), manifests.check_digest(digest))
            except ManifestError as error:
                raise CorruptArtifactError(
                    f"{ref} names a base that is none: {error}; publish it again"
                ) from error
        case _:
            raise CorruptArtifactError(f"{ref} is a delta and names no base: publish it again")


def require_digest(name: BaseName, digest: str) -> None:
    """Refuse a base that was bound anew.

    Raises:
        RejectedError: the ref is bound to another artifact.
    """
    if digest != name.digest:
        raise RejectedError(f"it was {name.digest} and is {digest} now")
