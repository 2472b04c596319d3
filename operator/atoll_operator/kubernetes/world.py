"""Mirrors of all children of all jobs, so that a pass asks the API server nothing it knows."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from atoll_api import names
from atoll_operator.errors import ApiError
from atoll_operator.kubernetes import projection
from atoll_operator.kubernetes.api import Api, Key, Resource, Selection
from atoll_operator.kubernetes.observing import Scene
from atoll_operator.kubernetes.projection import Owned
from atoll_operator.kubernetes.resources import JOBS, PODS, STATEFUL_SETS
from atoll_operator.kubernetes.watching import Interest, Mirror

_OURS: Final = f"app.kubernetes.io/managed-by={names.MANAGER}"


@dataclass(frozen=True)
class Wiring:
    """What mirrors need of their operator.

    Attributes:
        wake: told which job has changed, by namespace and name.
        chance: numbers in [0, 1), for backoff.
        on_trouble: told when a watch fails.
    """

    wake: Callable[[Key], None]
    chance: Callable[[], float]
    on_trouble: Callable[[ApiError], None]


class World:
    """Jobs, Pods and StatefulSets that carry a job's label. Run `run` in a task."""

    def __init__(self, api: Api, namespaces: tuple[str, ...], wiring: Wiring) -> None:
        """Of some namespaces; of all when there are none."""
        self._jobs: list[Mirror[Any, Key]] = []
        self._pods: list[Mirror[Any, Key]] = []
        self._sets: list[Mirror[Any, Key]] = []
        kinds: tuple[tuple[Resource, Callable[..., Any], list[Mirror[Any, Key]]], ...] = (
            (JOBS, projection.project_job, self._jobs),
            (PODS, projection.project_pod, self._pods),
            (STATEFUL_SETS, projection.project_hub, self._sets),
        )
        for resource, project, mirrors in kinds:
            for namespace in namespaces or ("",):
                selection = Selection(resource, namespace, _OURS)
                interest = Interest(selection, project, _job_of)
                mirrors.append(
                    Mirror(api, interest, wiring.wake, wiring.chance, on_trouble=wiring.on_trouble)
                )

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for mirror in self._all():
                group.create_task(mirror.run())

    async def synced(self) -> None:
        """Wait until everything has been listed once."""
        for mirror in self._all():
            await mirror.synced.wait()

    def is_synced(self) -> bool:
        """Whether everything has been listed once."""
        return all(mirror.synced.is_set() for mirror in self._all())

    def age(self) -> float:
        """Seconds since the quietest mirror heard anything."""
        return max(mirror.age() for mirror in self._all())

    def scene(self, key: Key, uid: str) -> Scene:
        """The children of one job; those of an earlier job of its name are left out."""
        sets = self._of(self._sets, key)
        jobs = self._of(self._jobs, key)
        hub = sets.get(names.hub_object(key.name))
        return Scene(
            name=key.name,
            jobs={name: job for name, job in jobs.items() if job.owner_uid == uid},
            pods=tuple(self._of(self._pods, key).values()),
            hub=hub if hub is not None and hub.owner_uid == uid else None,
        )

    def _all(self) -> tuple[Mirror[Any, Key], ...]:
        return (*self._jobs, *self._pods, *self._sets)

    @staticmethod
    def _of(mirrors: list[Mirror[Any, Key]], key: Key) -> Mapping[str, Any]:
        """By name."""
        return {at.name: value for it in mirrors for at, value in it.of(key).items()}


def _job_of(seen: Owned) -> Key:
    return Key(seen.namespace, seen.job)
