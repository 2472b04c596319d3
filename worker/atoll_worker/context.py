"""The real world of a role: torch's threads as ordered, the hub for artifacts and progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import torch

from atoll_api.work_order import WorkerOrder, process_of
from atoll_worker.exchange import identity
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience
from atoll_worker.ports import Context, Stop


@contextmanager
def open_context(order: WorkerOrder, stop: Stop) -> Iterator[Context]:
    """The context of a role; its last progress report is sent at the end.

    May be opened once a process: torch takes the number of its threads only once.

    Raises:
        IdentityError: the certificate is not this process's, or not valid now.
    """
    credentials = identity.load(order.identity, process_of(order), datetime.now(UTC))
    torch.set_num_threads(order.threads)
    torch.set_num_interop_threads(1)
    patience = Patience(first_seconds=order.startup_seconds)
    with ExchangeClient(order.hub, credentials, patience) as client:
        yield Context(artifacts=client, progress=client, stop=stop, traffic=client.traffic)
