"""Mirrors of all children of all jobs, so that a pass asks the API server nothing it knows."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from atoll_api import names
from atoll_operator.errors import ApiError, ForbiddenError
from atoll_operator.kubernetes import projection, troubles
from atoll_operator.kubernetes.api import Api, Json, Key, Resource, Selection, WatchLimits
from atoll_operator.kubernetes.observing import Scene
from atoll_operator.kubernetes.projection import Owned
from atoll_operator.kubernetes.resources import CORE_EVENTS, JOBS, PODS, STATEFUL_SETS
from atoll_operator.kubernetes.troubles import Trouble
from atoll_operator.kubernetes.watching import Interest, Mirror, Patience

OnTrouble = Callable[[ApiError], None]
Project = Callable[[Json], Any]
_QUIET: Final = Patience(limits=WatchLimits(server_seconds=240, silence_seconds=270.0))
"""For events: the API server keeps no cache of them, and so sends no bookmarks."""
_OURS: Final = f"app.kubernetes.io/managed-by={names.MANAGER}"
_CHILDREN: Final[Mapping[Resource, Project]] = {
    JOBS: projection.project_job,
    PODS: projection.project_pod,
    STATEFUL_SETS: projection.project_hub,
}


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
    on_trouble: OnTrouble


def watches(namespaces: tuple[str, ...]) -> int:
    """How many requests stay open for a world of these namespaces, or of all."""
    return (len(_CHILDREN) + 1) * max(1, len(namespaces))


class World:
    """Jobs, Pods and StatefulSets that carry a job's label, and events of them.

    Run `run` in a task. Nobody waits for events: without them all works, and says less.
    """

    def __init__(self, api: Api, namespaces: tuple[str, ...], wiring: Wiring) -> None:
        """Of some namespaces; of all when there are none."""
        places = namespaces or ("",)

        def mirror(
            selection: Selection, project: Project, say: OnTrouble, patience: Patience
        ) -> Mirror[Any, Key]:
            interest = Interest(selection, project, _job_of)
            return Mirror(api, interest, wiring.wake, wiring.chance, patience, on_trouble=say)

        self._children = {
            kind: [
                mirror(Selection(kind, it, _OURS), project, wiring.on_trouble, Patience())
                for it in places
            ]
            for kind, project in _CHILDREN.items()
        }
        self._events = [
            mirror(
                Selection(CORE_EVENTS, it, fields=troubles.SELECTOR),
                troubles.project_trouble,
                _once_if_forbidden(wiring.on_trouble),
                _QUIET,
            )
            for it in places
        ]

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for mirror in (*self._all(), *self._events):
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

    def ages(self) -> dict[str, float]:
        """The same of each kind, by its plural; infinite before a kind has been listed."""
        return {
            kind.plural: max(mirror.age() for mirror in mirrors)
            for kind, mirrors in self._children.items()
        }

    def scene(self, key: Key, uid: str) -> Scene:
        """The children of one job; those of an earlier job of its name are left out."""
        sets = _of(self._children[STATEFUL_SETS], key)
        jobs = _of(self._children[JOBS], key)
        own = {name: job for name, job in jobs.items() if job.owner_uid == uid}
        pods = tuple(_of(self._children[PODS], key).values())
        hub = sets.get(names.hub_object(key.name))
        hub = hub if hub is not None and hub.owner_uid == uid else None
        told = _of(self._events, key).values()
        return Scene(key.name, own, pods, hub, troubles.holding(told, own, hub, pods))

    def _all(self) -> tuple[Mirror[Any, Key], ...]:
        """Those without which nothing can be decided."""
        return tuple(it for mirrors in self._children.values() for it in mirrors)


def _of(mirrors: list[Mirror[Any, Key]], key: Key) -> Mapping[str, Any]:
    """By name."""
    return {at.name: value for it in mirrors for at, value in it.of(key).items()}


def _once_if_forbidden(say: OnTrouble) -> OnTrouble:
    """A cluster may keep its events from an operator: it is asked again, and told of once."""
    said = False

    def once(error: ApiError) -> None:
        nonlocal said
        known, said = said, said or isinstance(error, ForbiddenError)
        if not (known and isinstance(error, ForbiddenError)):
            say(error)

    return once


def _job_of(seen: Owned | Trouble) -> Key:
    return Key(seen.namespace, seen.job)
