"""What the operator asks of an API server: the seam between its decisions and a cluster.

Objects are plain JSON, as they are on the wire. Two implementations pass one suite,
`tests/ports/test_kubernetes_api.py`: `client.ApiServer` and, in memory, `fake_api.FakeApi`.
Nothing here retries: who asks knows whether asking again is right.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote, urlencode

Json = dict[str, Any]

FIELD_MANAGER: Final = "atoll-operator"
"""Who set a field, in the books of the API server: the operator, by one name, so that its fields are
released with it."""


class Key(NamedTuple):
    """Which object of a kind. The namespace of a kind without namespaces is empty."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True)
class Resource:
    """A kind of object, and where its objects are."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    has_status: bool = False
    """The status is a subresource: written apart from all else."""

    @property
    def api_version(self) -> str:
        """As in an object's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Of one object, or of all in a namespace, or of all."""
        root = ("apis", self.group) if self.group else ("api",)
        parts = [*root, self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


@dataclass(frozen=True)
class Selection:
    """Some objects of a kind."""

    resource: Resource
    namespace: str = ""
    """Empty: all namespaces."""
    labels: str = ""
    """A label selector; empty: all."""
    fields: str = ""
    """A field selector; empty: all. Which fields a server selects by depends on the kind."""

    def query(self, **more: str) -> str:
        """As the query of a URL."""
        wanted = {"labelSelector": self.labels, "fieldSelector": self.fields, **more}
        return urlencode({name: value for name, value in wanted.items() if value})


@dataclass(frozen=True)
class Page:
    """A part of a list."""

    items: list[Json]
    resource_version: str
    """Of the whole list: a watch from here misses nothing."""
    continue_token: str = ""
    """Of the next page; empty: this was the last."""


@dataclass(frozen=True)
class Changed:
    """An object is there, perhaps for the first time."""

    object: Json


@dataclass(frozen=True)
class Removed:
    """An object is there no more, or not in the selection. `object` is its last state."""

    object: Json


@dataclass(frozen=True)
class Bookmark:
    """Nothing before this version is outstanding."""

    resource_version: str


WatchEvent = Changed | Removed | Bookmark


@dataclass(frozen=True)
class WatchLimits:
    """Both ends have one: some balancers keep a dead connection open without a word."""

    server_seconds: int = 300
    """The server ends the stream after this time."""
    silence_seconds: float = 90.0
    """The client gives up without a byte for so long. Bookmarks come every minute."""


class Propagation(StrEnum):
    """What becomes of the objects that a deleted one owns."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


@dataclass(frozen=True)
class Request:
    """One request that was made, for metrics. Holds no content and no name."""

    verb: str
    resource: str
    """Plural, with the subresource behind a slash."""
    code: int
    """The HTTP status; 0 without an answer."""
    seconds: float
    """Until the answer; for a watch, until it began."""


OnRequest = Callable[[Request], None]


class Api(Protocol):
    """Every method raises `errors.ApiError`, and nothing else that the server is to blame for."""

    async def create(self, resource: Resource, body: Json) -> Json:
        """Create the object that `body` describes, in the namespace of its metadata."""
        ...

    async def get(self, resource: Resource, key: Key) -> Json:
        """Read the newest state."""
        ...

    async def list_page(
        self, selection: Selection, *, limit: int = 0, continue_token: str = ""
    ) -> Page:
        """Read objects, at most `limit` if it is not 0; the server leaves out their kind.

        Raises:
            GoneError: the token is too old.
        """
        ...

    def watch(
        self, selection: Selection, resource_version: str, limits: WatchLimits
    ) -> AsyncGenerator[WatchEvent, None]:
        """Every change after `resource_version` until the server ends the stream: use `aclosing`.

        Raises:
            GoneError: that version is forgotten.
            UnavailableError: the stream broke, or nothing was heard for too long.
        """
        ...

    async def merge_patch(
        self, resource: Resource, key: Key, patch: Json, *, subresource: str = ""
    ) -> Json:
        """Change some fields; lists are replaced whole and None removes.

        With `metadata.resourceVersion` in the patch: ConflictError if the object has changed.
        """
        ...

    async def replace(self, resource: Resource, body: Json, *, subresource: str = "") -> Json:
        """Replace an object, or its status; `metadata.resourceVersion` as in `merge_patch`."""
        ...

    async def apply(self, resource: Resource, body: Json) -> Json:
        """Server-side apply, taking fields that others set."""
        ...

    async def delete(
        self,
        resource: Resource,
        key: Key,
        *,
        propagation: Propagation = Propagation.BACKGROUND,
        uid: str = "",
    ) -> None:
        """Delete an object; with `uid`, ConflictError if the name is another's by now."""
        ...


def key_of(body: Json) -> Key:
    """The key of an object."""
    metadata = body["metadata"]
    return Key(metadata.get("namespace", ""), metadata.get("name", ""))


def version_of(body: Json) -> str:
    """The resource version of an object."""
    return str(body["metadata"]["resourceVersion"])
