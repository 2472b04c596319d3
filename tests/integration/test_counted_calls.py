"""Calls over real gRPC are counted at both ends, with how they ended."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from identities import Household
from scraped import Page

from atoll_api import names
from atoll_api.names import Ref
from atoll_telemetry.instruments import Instruments
from atoll_worker import metrics
from atoll_worker.errors import RejectedError, UnavailableError
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.server import Beside
from atoll_worker.exchange.serving import ServerThread
from atoll_worker.exchange.store import Store
from atoll_worker.exchange.watching import Listener, Watching
from atoll_worker.ports import Artifact, ProgressReport
from atoll_worker.tally import Tally

WEIGHTS = Artifact({"x": torch.ones(1 << 18)})
COUNT = "atoll_rpc_duration_seconds_count"


class Both:
    """A hub and an island's client, each with a tally."""

    def __init__(self, folder: Path) -> None:
        self.household = Household("0")
        self.book = ProgressBook()
        self.hub = Tally(Instruments(metrics.of_role("hub")))
        self.island = Tally(Instruments(metrics.of_role("island")))
        self.server = ServerThread(
            Store(folder),
            Guard("0"),
            self.household.credentials(names.HUB),
            beside=Beside(self.book, tally=self.hub),
        )

    def client(self, tally: Tally | None = None, seconds: float = 10.0) -> ExchangeClient:
        credentials = self.household.credentials("island", 0)
        patience = Patience(seconds, seconds)
        return ExchangeClient(self.server.address, credentials, patience, tally or self.island)

    def count(self, tally: Tally, method: str, code: str = "OK") -> float:
        page = Page.of(tally.exposition("")[0].decode())
        return page.sum(COUNT, method=method, code=code)

    def settled(self, tally: Tally, method: str, code: str, count: float) -> float:
        """The count, once the other end has heard of it."""
        deadline = time.monotonic() + 10
        while (found := self.count(tally, method, code)) != count and time.monotonic() < deadline:
            time.sleep(0.01)
        return found


@contextmanager
def both(folder: Path) -> Iterator[Both]:
    ends = Both(folder)
    try:
        yield ends
    finally:
        ends.server.close()


def test_calls_and_bytes_agree_at_both_ends(tmp_path: Path) -> None:
    with both(tmp_path) as ends:
        with ends.client() as client:
            client.publish(Ref("experts/0"), WEIGHTS)
            client.publish(Ref("checkpoints/island-0/1"), WEIGHTS)
            client.fetch(Ref("checkpoints/island-0/1"))
        for method in ("Missing", "Publish", "Bind", "Resolve", "Fetch"):
            count = ends.count(ends.island, method)
            assert count >= 1
            assert ends.settled(ends.hub, method, "OK", count) == count
        page = {
            tally: Page.of(tally.exposition("")[0].decode()) for tally in (ends.hub, ends.island)
        }
        sent = page[ends.island].sum("atoll_comm_bytes_total", direction="sent", peer="hub")
        taken = page[ends.hub].sum("atoll_comm_bytes_total", direction="received", peer="island")
        assert sent == taken == 4 << 18, "the second publish found all blobs there"


def test_calls_that_are_refused_have_the_code_of_the_refusal(tmp_path: Path) -> None:
    with both(tmp_path) as ends:
        with ends.client() as client:
            with pytest.raises(RejectedError):
                client.fetch(Ref("checkpoints/island-0/9"))
            with pytest.raises(RejectedError):
                client.publish(Ref("experts/5"), WEIGHTS)
        for tally in (ends.island, ends.hub):
            assert ends.settled(tally, "Resolve", "NOT_FOUND", 1) == 1
            assert ends.settled(tally, "Missing", "PERMISSION_DENIED", 1) == 1


def test_a_watch_that_is_left_was_cancelled(tmp_path: Path) -> None:
    with both(tmp_path) as ends:
        with ends.client() as client:
            listener = Listener(lambda: None, lambda _: None)
            watching = Watching(client.connection, ["experts/"], listener)
            client.publish(Ref("experts/0"), WEIGHTS)
            assert watching.wait([Ref("experts/0")], 10)
            watching.close()
        for tally in (ends.island, ends.hub):
            assert ends.settled(tally, "Watch", "CANCELLED", 1) == 1


def test_a_hub_that_is_away_is_counted_as_such(tmp_path: Path) -> None:
    with both(tmp_path) as ends:
        ends.server.close()
        with ends.client(seconds=0.3) as client, pytest.raises(UnavailableError):
            client.bindings()
        assert ends.count(ends.island, "GetSnapshot", "UNAVAILABLE") >= 1


def test_the_last_report_has_the_last_totals(tmp_path: Path) -> None:
    with both(tmp_path) as ends:
        for attempt in (1, 2):
            tally = Tally(Instruments(metrics.of_role("island")))
            with ends.client(tally) as client:
                client.report(ProgressReport(attempt, 2))
                client.flush()
                tally.trained(10 * attempt, 0, 0)
        told = dict(ends.book.totals.steps())["island-0"]
        assert told.counted()["atoll_train_steps_total", ()] == 30
        assert dict(ends.book.totals.times())["island-0"] > 1e9


def test_who_counts_nothing_tells_no_totals(tmp_path: Path) -> None:
    with both(tmp_path) as ends:
        with ends.client(Tally()) as client:
            client.report(ProgressReport(1, 2))
        assert [it.done_count for it in ends.book.steps()] == [1]
        assert not list(ends.book.totals.steps())
        assert dict(ends.book.totals.times()).keys() == {"island-0"}


def test_an_endless_norm_costs_no_report(tmp_path: Path) -> None:
    with both(tmp_path) as ends:
        with ends.client() as client:
            ends.island.gradient_is(float("inf"), 0.1)
            client.report(ProgressReport(1, 2))
        told = dict(ends.book.totals.steps())["island-0"]
        assert ("atoll_train_learning_rate", ()) in told.gauges
        assert ("atoll_train_gradient_norm", ()) not in told.gauges
