"""The tally of a process that shows it: instruments of its role behind a port of its own. No torch."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import ProcessCollector

from atoll_api.hub_order import FolderStore, Order
from atoll_api.release import release
from atoll_telemetry.families import Family
from atoll_telemetry.instruments import Instruments
from atoll_worker import health
from atoll_worker.metrics import of_role
from atoll_worker.tally import Tally


@dataclass(frozen=True)
class Place:
    """Where a process shows its health and its numbers; one of the two is given."""

    port: int | None
    """On all addresses."""
    file: Path | None
    """On loopback, at a port of the system's choice, and says there at which."""


def shown(place: Place, order: Order, ready: Callable[[], bool]) -> Tally:
    """The tally of a process, served from now on until it ends.

    Raises:
        OSError: the port that was asked for is taken.
    """
    tally = Tally(Instruments(_families(order)))
    tally.is_of(release(), order.role)
    tally.show_too(ProcessCollector(registry=None))
    if place.file is None:
        assert place.port is not None, "a port, or a file to say it in"
        tally.port = health.serve(place.port, ready, tally)
        return tally
    try:
        tally.port = health.serve(0, ready, tally, health.LOOPBACK)
    except OSError as error:  # as without a free descriptor: the work may still be done
        sys.stderr.write(f"metrics: cannot listen on loopback: {error.strerror}\n")
        return tally
    health.say_where(place.file, tally.port)
    return tally


def _families(order: Order) -> tuple[Family, ...]:
    return of_role(
        order.role,
        merges=getattr(order, "merging", None) is not None,
        on_disk=isinstance(getattr(order, "store", None), FolderStore),
        sockets=sys.platform == "linux",
    )
