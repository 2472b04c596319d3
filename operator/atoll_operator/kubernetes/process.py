"""The operator as a process: watches from the beginning, works while it leads, stops cleanly."""

import asyncio
import logging
import random
import signal
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from atoll_api.release import release
from atoll_operator import progress
from atoll_operator.errors import ApiError, OperatorError
from atoll_operator.kubernetes import handlers, health, roll_call
from atoll_operator.kubernetes.api import Api, Key
from atoll_operator.kubernetes.authority import OperatorAuthority, load_authority
from atoll_operator.kubernetes.backoff import Backoff
from atoll_operator.kubernetes.client import ApiServer, ClientOptions, read_configuration
from atoll_operator.kubernetes.controller import Controller, Hands
from atoll_operator.kubernetes.fencing import Fenced
from atoll_operator.kubernetes.leader import Candidate, Elector, new_identity
from atoll_operator.kubernetes.lease import LeaseTiming
from atoll_operator.kubernetes.measuring import CountedHubs, Levels, Measurements
from atoll_operator.kubernetes.settings import OperatorSettings
from atoll_operator.kubernetes.work_queue import Pass, WorkQueue
from atoll_operator.kubernetes.world import Wiring, World, watches
from atoll_telemetry import logs

_BACKOFF: Final = Backoff(first_seconds=0.2, max_seconds=60.0)
_RETRY_SECONDS: Final = 2.0
_REQUESTS: Final = 20
"""To the API server at once, beside the watches: with many namespaces those would take all. Enough
for 300 a second where one takes 60 ms; each connection takes 0.3 MB, most of it asyncio's buffer
for TLS."""
_DEAF_SECONDS: Final = 300.0
"""Watches that heard nothing for so long, bookmarks included, will hear nothing more."""

_log = logging.getLogger(__name__)


async def serve(settings: OperatorSettings) -> None:
    """Until SIGTERM or SIGINT.

    Raises:
        LeaseLostError: another replica leads; this process must end.
        NoClusterError: nothing says which API server to speak to.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    configuration = await read_configuration()
    options = ClientOptions(max_connections=_REQUESTS + watches(settings.namespaces))
    measurements = Measurements(release(), with_objects=settings.object_metrics)
    async with ApiServer(configuration, options, measurements.requested) as api:
        authority = await _authority(api, settings)
        operator = _Operator(api, authority, settings, measurements)
        server = await health.serve(settings.health_port, operator.answers(), operator.metrics)
        async with server:
            await operator.run(stop)


async def _authority(api: Api, settings: OperatorSettings) -> OperatorAuthority:
    """As soon as the API server answers."""
    key = Key(settings.namespace, settings.authority)
    while True:
        try:
            return await load_authority(api, key, datetime.now(UTC))
        except ApiError as error:
            _log.warning("the authority in Secret %s cannot be read: %s", key, error)
            if not error.retryable:
                raise
            await asyncio.sleep(_RETRY_SECONDS)


class _Operator:
    """All tasks of the process, and how they end."""

    def __init__(
        self,
        api: ApiServer,
        authority: OperatorAuthority,
        settings: OperatorSettings,
        measurements: Measurements,
    ) -> None:
        chance = random.random
        lease = Key(settings.namespace, settings.lease)
        candidate = Candidate(lease, new_identity(settings.pod), LeaseTiming(10.0, 7.0, 2.0))
        self._api = api
        self._settings = settings
        self._measurements = measurements
        self._scraped = asyncio.Lock()
        self._elector = Elector(api, candidate, chance, on_trouble=_say_trouble("the lease"))
        self._queue: WorkQueue[Key] = WorkQueue(_BACKOFF, chance, self._passed)
        self._queue.pause()
        wiring = Wiring(self._queue.add, chance, _say_trouble("a watch"))
        self._world = World(api, settings.namespaces, wiring)
        fenced = Fenced(api, self._elector.seconds_left)
        hubs = CountedHubs(progress, measurements)
        self._controller = Controller(
            Hands(fenced, self._world, hubs, authority, settings, measurements.happened)
        )

    def answers(self) -> health.Answers:
        """What its probes are told."""

        def hears() -> bool:
            return not self._world.is_synced() or self._world.age() < _DEAF_SECONDS

        return {"/healthz": hears, "/readyz": self._world.is_synced}

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """All numbers as text, and its type: in a thread, so that no renewal of the lease waits.

        One scrape at a time: several take as long, and more of the threads that look up names.
        """
        async with self._scraped:
            return await asyncio.to_thread(self._measurements.exposition, self._levels(), accept)

    def _levels(self) -> Levels:
        return Levels(
            leads=self._elector.leading.is_set(),
            waiting=self._queue.depth,
            working=self._queue.working,
            longest_seconds=self._queue.longest_seconds,
            watch_ages=self._world.ages(),
            jobs=self._controller.shown(),
        )

    def _passed(self, ended: Pass[Key]) -> None:
        self._measurements.passed(ended)
        _say_pass(ended)

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop, or until something that must go on has ended."""
        handled = handlers.registry(self._controller, self._queue)
        going = [
            asyncio.create_task(self._world.run(), name="world"),
            asyncio.create_task(self._elector.run(), name="elector"),
            asyncio.create_task(
                handlers.watch_jobs(handled, self._settings.pod, self._settings.namespaces, stop),
                name="kopf",
            ),
            asyncio.create_task(self._lead(), name="lead"),
            asyncio.create_task(
                roll_call.go_on(self._api, self._settings.namespaces, self._controller),
                name="roll call",
            ),
        ]
        working = asyncio.create_task(
            self._queue.run(self._controller.work, self._settings.workers, self._controller.rest),
            name="queue",
        )
        told = asyncio.create_task(stop.wait(), name="stop")
        try:
            await _first_of(told, working, *going)
        finally:
            self._queue.stop()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(working, return_exceptions=True)
            await _cancel(told, *going)
            await self._elector.release()

    async def _lead(self) -> None:
        """Work from the moment that this process leads and has seen everything."""
        await self._elector.leading.wait()
        await self._world.synced()
        _log.info("leading")
        self._queue.resume()
        await asyncio.Event().wait()


async def _first_of(told: "asyncio.Task[Any]", *tasks: "asyncio.Task[Any]") -> None:
    """Wait for the word to stop; raise what a task raised that was to go on."""
    done, _ = await asyncio.wait((told, *tasks), return_when=asyncio.FIRST_COMPLETED)
    for task in done - {told}:
        if (error := task.exception()) is not None:
            raise error
        if not told.done() and task.get_name() != "kopf":
            raise OperatorError(f"{task.get_name()} ended though nobody told it to")


async def _cancel(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _say_pass(ended: Pass[Key]) -> None:
    if ended.error is None:
        return
    expected = isinstance(ended.error, OperatorError)
    _log.warning(
        "%s: %s (failure %d in a row)",
        ended.key,
        str(ended.error) or type(ended.error).__name__,
        ended.failures,
        exc_info=None if expected else ended.error,
        extra=logs.extra(job=ended.key.name, namespace=ended.key.namespace),
    )


def _say_trouble(what: str) -> Any:
    def say(error: ApiError) -> None:
        _log.warning("%s: %s", what, error)

    return say
