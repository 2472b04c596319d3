"""An API through which only the leader writes: each write asks first, and may not outlast it.

A write that was sent in time may still be carried out late by the server: preconditions
(`resourceVersion`, uid, names that are taken) are what makes that harmless.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, TypeVar

from atoll_operator.errors import LeaseLostError, UnavailableError
from atoll_operator.kubernetes.api import (
    Api,
    Json,
    Key,
    Page,
    Propagation,
    Resource,
    Selection,
    WatchEvent,
    WatchLimits,
)

T = TypeVar("T")


class Fenced:
    """Implements `api.Api` on another one. Reads pass."""

    def __init__(self, api: Api, seconds_left: Callable[[], float]) -> None:
        """`seconds_left` says how long nobody else writes: `Elector.seconds_left`."""
        self._api: Final = api
        self._seconds_left: Final = seconds_left

    async def create(self, resource: Resource, body: Json) -> Json:
        """If this process leads."""
        return await self._write(lambda: self._api.create(resource, body))

    async def get(self, resource: Resource, key: Key) -> Json:
        """Always."""
        return await self._api.get(resource, key)

    async def list_page(
        self, selection: Selection, *, limit: int = 0, continue_token: str = ""
    ) -> Page:
        """Always."""
        return await self._api.list_page(selection, limit=limit, continue_token=continue_token)

    def watch(
        self, selection: Selection, resource_version: str, limits: WatchLimits
    ) -> AsyncGenerator[WatchEvent, None]:
        """Always."""
        return self._api.watch(selection, resource_version, limits)

    async def merge_patch(
        self, resource: Resource, key: Key, patch: Json, *, subresource: str = ""
    ) -> Json:
        """If this process leads."""
        return await self._write(
            lambda: self._api.merge_patch(resource, key, patch, subresource=subresource)
        )

    async def replace(self, resource: Resource, body: Json, *, subresource: str = "") -> Json:
        """If this process leads."""
        return await self._write(lambda: self._api.replace(resource, body, subresource=subresource))

    async def apply(self, resource: Resource, body: Json) -> Json:
        """If this process leads."""
        return await self._write(lambda: self._api.apply(resource, body))

    async def delete(
        self,
        resource: Resource,
        key: Key,
        *,
        propagation: Propagation = Propagation.BACKGROUND,
        uid: str = "",
    ) -> None:
        """If this process leads."""
        await self._write(lambda: self._api.delete(resource, key, propagation=propagation, uid=uid))

    async def _write(self, ask: Callable[[], Awaitable[T]]) -> T:
        seconds = self._seconds_left()
        if seconds <= 0:
            raise LeaseLostError("this process does not lead: it writes nothing")
        try:
            async with asyncio.timeout(seconds):
                return await ask()
        except TimeoutError as error:
            raise UnavailableError("no answer while this process surely leads") from error
