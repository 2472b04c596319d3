"""A server of the exchange on a thread, beside whatever else the process does."""

import asyncio
import threading
from functools import partial
from typing import Self

from atoll_worker.errors import WorkerError
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.identity import Credentials
from atoll_worker.exchange.server import Beside, ExchangeServer, Threads, build_server
from atoll_worker.exchange.shelf import Shelf

_GRACE_SECONDS = 0.5


class ServerThread:
    """Serves a shelf from the moment it is made until it is closed.

    Raises:
        WorkerError: the address is taken, or is none of this machine.
    """

    def __init__(
        self,
        shelf: Shelf,
        guard: Guard,
        credentials: Credentials,
        *,
        listen: str = "127.0.0.1:0",
        beside: Beside | None = None,
    ) -> None:
        """Listen at HOST:PORT; port 0 lets the system choose."""
        self._build = partial(build_server, shelf, guard=guard, beside=beside or Beside())
        self._proof = credentials.for_server()
        self._listen = listen
        self._loop: asyncio.AbstractEventLoop
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._errors: list[Exception] = []
        self.exchange: ExchangeServer
        self.port = 0
        self._thread = threading.Thread(target=self._run, name="serve", daemon=True)
        self._thread.start()
        self._started.wait()
        for error in self._errors:
            self._thread.join()
            raise WorkerError(f"cannot listen on {listen}: is it taken?") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{self._listen.rpartition(':')[0]}:{self.port}"

    def close(self) -> None:
        """End all calls, and stop; again is no harm."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        threads = Threads()
        server, self.exchange = self._build(threads)
        try:
            self.port = server.add_secure_port(self._listen, self._proof)
            await server.start()
        except RuntimeError as error:
            self._errors.append(error)
            threads.close()
            return
        self._started.set()
        await self._stop.wait()
        self.exchange.end_watches()
        await server.stop(_GRACE_SECONDS)
        threads.close()
