"""The hub in a simulation: the real store and the real handlers, on a disk that fails as it is told."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sim_calls import Served

from atoll_api.hub_order import FolderStore, HubOrder
from atoll_api.names import HUB, Process
from atoll_worker.errors import DisruptedError, WorkerError
from atoll_worker.exchange.access import Circle
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.room import Limits
from atoll_worker.exchange.server import IDLE_SESSION_SECONDS, Beside
from atoll_worker.exchange.store import Store
from atoll_worker.roles.hub import PROGRESS_FILE

if TYPE_CHECKING:
    from sim_process import SimProcess

ADDRESS = "127.0.0.1:7000"


class WatchedStore(Store):
    """Says what it is about to drop: the power may fail in the middle of it."""

    dropping: set[str]

    def drop(self, refs: Sequence[str]) -> tuple[str, ...]:
        """See `Store.drop`."""
        self.dropping.update(refs)
        dropped = super().drop(refs)
        self.dropping.difference_update(refs)
        return dropped


def run_hub(order: HubOrder, here: "SimProcess") -> int:
    """Serve until told to stop."""
    machine = here.machine
    here.process = Process(order.job.uid, HUB)
    assert isinstance(order.store, FolderStore)
    limits = Limits(order.quota_bytes)
    store = WatchedStore(Path(order.store.folder), machine.disk, here.now, limits)
    store.dropping = machine.ledger.dropping
    book = ProgressBook(here.now)
    if (saved := store.read_file(PROGRESS_FILE)) is not None:
        book.load(saved)
    guard = Guard(order.job.uid, Circle.of(order.around, common_basis=order.common_basis))
    served = Served(HUB, store, guard, machine.inner, Beside(book))
    served.broke = lambda: machine.lose_power(here)
    served.changed = lambda: _look(store, here)
    machine.ledger.hub_opened(store.bindings())
    machine.news += 1
    machine.serve(here, ADDRESS, served)
    _say_ready(order, here)
    try:
        while not here.told_to_stop:
            here.until(here.stopping, 1.0)
            _keep_house(store, book)
    finally:
        if here.alive:
            store.close()
    raise DisruptedError("told to stop; what is bound is kept")


def _look(store: Store, here: "SimProcess") -> None:
    """After a call: what it has changed."""
    machine = here.machine
    before = machine.ledger.bound
    machine.ledger.look(store.bindings(), here.alive)
    machine.news += before != machine.ledger.bound


def _keep_house(store: Store, book: ProgressBook) -> None:
    try:
        store.expire(IDLE_SESSION_SECONDS)
        if book.changed:
            store.write_file(PROGRESS_FILE, book.dump())
    except WorkerError:
        return  # whoever publishes next is told of the disk


def _say_ready(order: HubOrder, here: "SimProcess") -> None:
    path = Path(order.ready_file)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"address": ADDRESS, "pid": here.pid}))
    draft.replace(path)
