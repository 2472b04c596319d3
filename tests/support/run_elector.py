"""One replica as a process: says `leading` when it leads, `lost` when it does no more.

run_elector.py KUBECONFIG NAMESPACE NAME
"""

import asyncio
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from atoll_operator.errors import LeaseLostError
from atoll_operator.kubernetes.api import Key
from atoll_operator.kubernetes.client import ApiServer, ClientOptions, read_configuration
from atoll_operator.kubernetes.leader import Candidate, Elector, new_identity
from atoll_operator.kubernetes.lease import LeaseTiming


async def main(kubeconfig: str, namespace: str, name: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    options = ClientOptions(timeout_seconds=5.0)
    async with ApiServer(await read_configuration(Path(kubeconfig)), options) as api:
        candidate = Candidate(Key(namespace, name), new_identity("test"), LeaseTiming())
        elector = Elector(api, candidate, random.random)
        run = asyncio.ensure_future(elector.run())
        run.add_done_callback(lambda _: stop.set())
        await asyncio.wait(
            [run, asyncio.ensure_future(elector.leading.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        tell("leading")
        await stop.wait()
        run.cancel()
        with suppress(asyncio.CancelledError, LeaseLostError):
            await run
        await elector.release()
        tell("lost")


def tell(what: str) -> None:
    """With the time on this machine's monotonic clock."""
    sys.stdout.write(f"{what} {time.monotonic()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
