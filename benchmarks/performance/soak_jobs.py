"""The jobs of a soak: stories that a cluster sees every day, one after another on one operator."""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from simulated_cluster import SimulatedCluster

from atoll_api import names
from atoll_operator.errors import ApiError, NotFoundError
from atoll_operator.kubernetes.api import Api, Json, Key, Selection, key_of
from atoll_operator.kubernetes.resources import TRAINING_JOBS
from atoll_operator.kubernetes.watching import Interest, Mirror

PATIENCE_SECONDS: Final = 300.0
ENDED: Final = frozenset({"Complete", "Failed"})


@dataclass(frozen=True)
class Ran:
    """A job that was run, and is gone."""

    name: str
    story: str
    state: str
    """Its last."""
    seconds: float


@dataclass(frozen=True)
class _Shown:
    key: Key
    version: str
    state: str


class Jobs:
    """Submits jobs as a user does, and sees how they are. Run `run` in a task."""

    def __init__(self, api: Api, cluster: SimulatedCluster, namespace: str) -> None:
        self._api = api
        self._cluster = cluster
        self._namespace = namespace
        self._numbers = itertools.count()
        self._changed = asyncio.Event()
        self._mirror: Mirror[_Shown, Key] = Mirror(
            api,
            Interest(Selection(TRAINING_JOBS, namespace), _shown, lambda it: it.key),
            lambda _: self._changed.set(),
            random.random,
        )

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._mirror.run()

    async def next(self) -> Ran:
        """Run the next job to its end, whatever that is, and delete it."""
        number = next(self._numbers)
        story = STORIES[number % len(STORIES)]
        name, began = f"soak-{number}", time.monotonic()
        if story == "failed":
            self._cluster.failing.add(name)
        try:
            await self._submit(name, _SPECS.get(story, _ENSEMBLE))
            state = await _TOLD[story](self, name)
        except (ApiError, TimeoutError) as error:  # told, and no reason to stop after an hour
            state = f"{type(error).__name__}: {error}"
        with suppress(ApiError):
            await self.delete(name)
        return Ran(name, story, state, time.monotonic() - began)

    async def ends(self, name: str) -> str:
        """Its last state."""
        return await self.reaches(name, ENDED)

    async def reaches(self, name: str, states: frozenset[str]) -> str:
        """Wait for one of these states.

        Raises:
            TimeoutError: it does not come.
        """
        key = Key(self._namespace, name)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                self._changed.clear()
                found = self._mirror.get(key)
                if found is not None and found.state in states:
                    return found.state
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 5.0)

    async def suspend(self, name: str, *, suspend: bool) -> None:
        """As a user does."""
        key, patch = Key(self._namespace, name), {"spec": {"suspend": suspend}}
        await self._api.merge_patch(TRAINING_JOBS, key, patch)

    async def delete(self, name: str) -> None:
        """With all that it owned; what the operator made meanwhile goes a little later."""
        key = Key(self._namespace, name)
        with suppress(NotFoundError):
            await self._api.delete(TRAINING_JOBS, key)
        await self._cluster.collect(name)
        await asyncio.sleep(1.0)
        await self._cluster.collect(name)

    async def _submit(self, name: str, spec: Mapping[str, Any]) -> None:
        metadata = {"namespace": self._namespace, "name": name}
        document = {"apiVersion": names.API_VERSION, "kind": names.KIND}
        await self._api.create(TRAINING_JOBS, {**document, "metadata": metadata, "spec": spec})


async def _to_its_end(jobs: Jobs, name: str) -> str:
    return await jobs.ends(name)


async def _deleted(jobs: Jobs, name: str) -> str:
    """In the middle."""
    return await jobs.reaches(name, ENDED | {"Running"})


async def _suspended(jobs: Jobs, name: str) -> str:
    """Stopped and let go on by its user."""
    await jobs.reaches(name, ENDED | {"Running"})
    await jobs.suspend(name, suspend=True)
    await jobs.reaches(name, ENDED | {"Suspended"})
    await jobs.suspend(name, suspend=False)
    return await jobs.ends(name)


def _spec(islands: int, strategy: str) -> Json:
    return {
        "task": {"type": "Diffusion"},
        "data": {"source": "builtin://digits"},
        "islands": {"count": islands},
        "partition": {"type": "Random"},
        "strategy": {"type": strategy},
    }


_ENSEMBLE: Final = _spec(2, "ExpertEnsemble")
_SPECS: Final = {
    "merged": _spec(3, "SingleMerge"),
    "exchanged": _spec(3, "IterativeMerge"),
}
_TOLD: Final[Mapping[str, Callable[[Jobs, str], Awaitable[str]]]] = {
    "complete": _to_its_end,
    "merged": _to_its_end,
    "exchanged": _to_its_end,
    "failed": _to_its_end,
    "deleted": _deleted,
    "suspended": _suspended,
}
STORIES: Final = (
    "complete",
    "merged",
    "complete",
    "failed",
    "complete",
    "suspended",
    "complete",
    "deleted",
    "exchanged",
)
"""In this order, again and again."""
EXPECTED: Final[Mapping[str, frozenset[str]]] = {
    "failed": frozenset({"Failed"}),
    "deleted": frozenset({"Running"}),
}
"""The last state of a story; of the others it is Complete."""


def expected(story: str) -> frozenset[str]:
    """The states that a story may end in."""
    return EXPECTED.get(story, frozenset({"Complete"}))


def _shown(body: Json) -> _Shown:
    status = body.get("status") or {}
    return _Shown(key_of(body), body["metadata"]["resourceVersion"], status.get("state", ""))
