"""An API server in memory, as one process sees it: slow, deaf or out of reach as a test says.

Passes the same suite as the real one. The state is `fake_server`'s; what goes wrong at which
request is a value, see `faults`; the public attributes say what goes wrong from now on.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from atoll_operator.errors import ApiError, UnavailableError
from atoll_operator.kubernetes.api import (
    Bookmark,
    Json,
    Key,
    OnRequest,
    Page,
    Propagation,
    Request,
    Resource,
    Selection,
    WatchEvent,
    WatchLimits,
    key_of,
)
from atoll_operator.kubernetes.fake_server import FakeServer
from atoll_operator.kubernetes.faults import DropWatches, Fault, Faults, KilledError, When

BOOKMARK_SECONDS: Final = 60.0
T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """One request; no key: of many objects."""

    verb: str
    resource: str
    key: Key | None = None
    subresource: str = ""


class FakeApi:
    """Implements `api.Api`."""

    def __init__(
        self,
        server: FakeServer | None = None,
        faults: Faults = (),
        on_request: OnRequest = lambda _: None,
    ) -> None:
        self.server = server or FakeServer()
        self.requests: list[Asked] = []
        """Every one so far."""
        self.unreachable = False
        """No connection: every request fails at once."""
        self.deaf = False
        """Watches stay open and tell nothing."""
        self.seconds_before = 0.0
        """How long requests take to get there."""
        self.seconds_after = 0.0
        """How long answers take to come back."""
        self._faults = faults
        self._on_request = on_request
        self._killed: KilledError | None = None
        self._streams: set[_Stream] = set()

    async def create(self, resource: Resource, body: Json) -> Json:
        """As the server does."""
        asked = Asked("create", resource.plural, key_of(body))
        return await self._ask(asked, lambda: self.server.create(resource, body))

    async def get(self, resource: Resource, key: Key) -> Json:
        """As the server does."""
        asked = Asked("get", resource.plural, key)
        return await self._ask(asked, lambda: self.server.get(resource, key))

    async def list_page(
        self, selection: Selection, *, limit: int = 0, continue_token: str = ""
    ) -> Page:
        """As the server does."""
        asked = Asked("list", selection.resource.plural)
        return await self._ask(
            asked, lambda: self.server.list_page(selection, limit, continue_token)
        )

    async def watch(
        self, selection: Selection, resource_version: str, limits: WatchLimits
    ) -> AsyncGenerator[WatchEvent, None]:
        """Changes as they come, and a bookmark a minute."""
        asked = Asked("watch", selection.resource.plural)
        version = resource_version
        told, version = await self._ask(asked, lambda: self._since(selection, version))
        with self._listening(limits) as stream:
            while True:
                for event in told:
                    yield event
                await self._wait(stream)
                if _now() >= stream.ends_at:
                    return
                told, version = self._since(selection, version)
                told = told or stream.bookmarks(_now(), version)
                stream.heard_at = _now()

    async def merge_patch(
        self, resource: Resource, key: Key, patch: Json, *, subresource: str = ""
    ) -> Json:
        """As the server does."""
        asked = Asked("patch", resource.plural, key, subresource)
        return await self._ask(
            asked, lambda: self.server.merge_patch(resource, key, patch, subresource)
        )

    async def replace(self, resource: Resource, body: Json, *, subresource: str = "") -> Json:
        """As the server does."""
        asked = Asked("update", resource.plural, key_of(body), subresource)
        return await self._ask(asked, lambda: self.server.replace(resource, body, subresource))

    async def apply(self, resource: Resource, body: Json) -> Json:
        """As the server does."""
        asked = Asked("apply", resource.plural, key_of(body))
        return await self._ask(asked, lambda: self.server.apply(resource, body))

    async def delete(
        self,
        resource: Resource,
        key: Key,
        *,
        propagation: Propagation = Propagation.BACKGROUND,
        uid: str = "",
    ) -> None:
        """As the server does."""
        asked = Asked("delete", resource.plural, key)
        await self._ask(asked, lambda: self.server.delete(resource, key, propagation, uid))

    def break_watches(self) -> None:
        """The connection of every open watch breaks."""
        for stream in self._streams:
            stream.broken = True
            stream.woken.set()

    async def _ask(self, asked: Asked, act: Callable[[], T]) -> T:
        began, code = _now(), 0
        try:
            answer = await self._carry(asked, act)
            code = 201 if asked.verb == "create" else 200
        except ApiError as error:
            code = 0 if isinstance(error, UnavailableError) else error.code
            raise
        finally:
            resource = "/".join(filter(None, (asked.resource, asked.subresource)))
            self._on_request(Request(asked.verb, resource, code, _now() - began))
        return answer

    async def _carry(self, asked: Asked, act: Callable[[], T]) -> T:
        self._stop_the_dead()
        number = len(self.requests)
        self.requests.append(asked)
        await asyncio.sleep(self.seconds_before)
        self._reach(number, When.BEFORE)
        try:
            return act()
        finally:  # a refusal is an answer too, and may be lost as one
            if DropWatches(number) in self._faults:
                self.break_watches()
            await asyncio.sleep(self.seconds_after)
            self._reach(number, When.AFTER)

    def _reach(self, number: int, when: When) -> None:
        """Raise what is to go wrong on this side of a request."""
        self._stop_the_dead()
        if self.unreachable:
            raise UnavailableError("no connection")
        for fault in self._faults:
            if isinstance(fault, Fault) and (fault.at, fault.when) == (number, when):
                if isinstance(fault.error, KilledError):
                    self._killed = fault.error
                    self.break_watches()
                raise fault.error

    def _stop_the_dead(self) -> None:
        if self._killed is not None:
            raise self._killed

    def _since(self, selection: Selection, version: str) -> tuple[list[WatchEvent], str]:
        return self.server.events_since(selection, version), self.server.version

    @contextmanager
    def _listening(self, limits: WatchLimits) -> Iterator["_Stream"]:
        stream = _Stream(limits, _now())
        self._streams.add(stream)
        self.server.listeners.add(stream.woken.set)
        try:
            yield stream
        finally:
            self._streams.discard(stream)
            self.server.listeners.discard(stream.woken.set)

    async def _wait(self, stream: "_Stream") -> None:
        """Until there may be something to tell."""
        while True:
            await stream.wait_until(stream.gives_up_at if self._silent else stream.speaks_at)
            self._stop_the_dead()
            if stream.broken or (self._silent and _now() >= stream.gives_up_at):
                raise UnavailableError("the watch broke")
            if not self._silent:
                return

    @property
    def _silent(self) -> bool:
        return self.deaf or self.unreachable


class _Stream:
    """One open watch."""

    def __init__(self, limits: WatchLimits, now: float) -> None:
        self.woken = asyncio.Event()
        self.broken = False
        self.heard_at = now
        self.ends_at = now + limits.server_seconds
        self._silence_seconds = limits.silence_seconds
        self._bookmark_at = now + BOOKMARK_SECONDS

    @property
    def speaks_at(self) -> float:
        """When it has something to say, whatever happens."""
        return min(self._bookmark_at, self.ends_at)

    @property
    def gives_up_at(self) -> float:
        """When the client has waited long enough."""
        return self.heard_at + self._silence_seconds

    async def wait_until(self, moment: float) -> None:
        """Return then, or when something has happened."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(moment):
                await self.woken.wait()
        self.woken.clear()

    def bookmarks(self, now: float, version: str) -> list[WatchEvent]:
        """The bookmark that is due, if one is."""
        if now < self._bookmark_at:
            return []
        self._bookmark_at = now + BOOKMARK_SECONDS
        return [Bookmark(version)]


def _now() -> float:
    return asyncio.get_running_loop().time()
