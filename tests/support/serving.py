"""A server of the exchange on a thread of the test, over any shelf, with certificates."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from identities import Household

from atoll_api import names
from atoll_worker.exchange.access import ALONE, Circle
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.identity import Credentials
from atoll_worker.exchange.line import BulkLimits
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.server import Beside
from atoll_worker.exchange.serving import ServerThread
from atoll_worker.exchange.shelf import Shelf
from atoll_worker.exchange.traffic import Traffic

JOB = "0"


@dataclass(frozen=True)
class Served:
    """Where it listens, what it counted, and who may call."""

    address: str
    traffic: Traffic
    household: Household

    def credentials(self, role: str = "island", index: int = 0) -> Credentials:
        """Of a process of the job."""
        return self.household.credentials(role, index)


@contextmanager
def serving(
    shelf: Shelf, limits: BulkLimits | None = None, circle: Circle = ALONE
) -> Iterator[Served]:
    """Serve until the block ends."""
    household = Household(JOB)
    guard = Guard(JOB, circle)
    proof = household.credentials(names.HUB)
    beside = Beside(ProgressBook(), limits or BulkLimits())
    with ServerThread(shelf, guard, proof, beside=beside) as server:
        yield Served(server.address, server.exchange.traffic, household)
