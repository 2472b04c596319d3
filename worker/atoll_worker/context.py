"""The real world of a role: torch's threads as ordered, the hub for artifacts and progress."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import torch

from atoll_api import graphs, names
from atoll_api.work_order import IslandOrder, MergeOrder, WorkerOrder, process_of
from atoll_worker.exchange import identity
from atoll_worker.exchange.access import Circle
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.identity import Credentials
from atoll_worker.exchange.offering import Listen, Offering
from atoll_worker.exchange.onlooking import Onlooking
from atoll_worker.ports import Context, Neighbourhood, Onlooker, Stop
from atoll_worker.tally import Tally

_SEEN = ("islands/", "mergeability/", names.MEAN_REF)
"""What processes that merge hear of, as far as they may."""


@contextmanager
def open_context(order: WorkerOrder, stop: Stop, tally: Tally) -> Iterator[Context]:
    """The context of a role; its last progress report, and its totals, are sent at the end.

    May be opened once a process: torch takes the number of its threads only once.

    Raises:
        IdentityError: the certificate is not this process's, or not valid now.
    """
    credentials = identity.load(order.identity, process_of(order), datetime.now(UTC))
    if credentials.expires is not None:
        tally.certified_until(credentials.expires.timestamp())
    torch.set_num_threads(order.threads)
    torch.set_num_interop_threads(1)
    patience = Patience(first_seconds=order.startup_seconds, stopping=stop.requested)
    with ExitStack() as stack:
        client = stack.enter_context(ExchangeClient(order.hub, credentials, patience, tally))
        yield Context(
            artifacts=client,
            progress=client,
            stop=stop,
            traffic=client.traffic,
            neighbourhood=_neighbourhood(order, client, credentials, stack),
            onlooker=_onlooker(order, client, stack),
            tally=tally,
        )


def _neighbourhood(
    order: WorkerOrder, client: ExchangeClient, credentials: Credentials, stack: ExitStack
) -> Neighbourhood | None:
    """A server for those who read this island, if any do."""
    if not isinstance(order, IslandOrder) or order.merging is None:
        return None
    merging = order.merging
    around = graphs.neighbours_of(merging.settings, merging.count)
    guard = Guard(order.job.uid, Circle.of(around, common_basis=merging.common_basis))
    listen = Listen(order.listen, order.listen_port, advertised=order.advertised)
    return stack.enter_context(Offering(client, credentials, guard, listen, _SEEN))


def _onlooker(order: WorkerOrder, client: ExchangeClient, stack: ExitStack) -> Onlooker | None:
    if not isinstance(order, MergeOrder):
        return None
    return stack.enter_context(Onlooking(client, _SEEN))
