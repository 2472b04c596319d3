"""What happened becomes numbers of the catalogue, and of nothing else."""

import math

import pytest
from scraped import Page

from atoll_telemetry.instruments import Instruments
from atoll_worker import metrics
from atoll_worker.exchange.traffic import EXCHANGE, Traffic
from atoll_worker.tally import Tally


def tally_of(role: str, *, merges: bool = False) -> Tally:
    return Tally(Instruments(metrics.of_role(role, merges=merges)), clock=lambda: 1000.0)


def page(tally: Tally) -> Page:
    return Page.of(tally.exposition("")[0].decode())


def told(tally: Tally) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(it.name, it.labels): it.value for it in tally.totals()}


def test_one_without_instruments_counts_nothing_and_minds_nothing() -> None:
    nobody = Tally()
    nobody.trained(1, 2, 3)
    nobody.training_begins(10, 60.0, gpu=True)
    nobody.follow(Traffic())
    assert not nobody.counts
    assert nobody.totals() == ()


def test_what_was_not_measured_is_no_number() -> None:
    found = page(tally_of("router"))
    for split in ("train", "holdout"):
        assert math.isnan(found.value("atoll_train_loss", split=split))
    assert math.isnan(found.value("atoll_train_gradient_norm"))
    assert math.isnan(found.value("atoll_router_accuracy_ratio"))
    assert found.value("atoll_train_steps_total") == 0


def test_the_hub_is_told_counters_and_what_was_measured() -> None:
    tally = tally_of("island")
    before = told(tally)
    assert before[("atoll_train_steps_total", ())] == 0
    assert ("atoll_checkpoint_last_success_timestamp_seconds", ()) not in before
    tally.checkpoint_saved(0.5, 77)
    tally.loss_is("train", 0.25)
    after = told(tally)
    assert after[("atoll_checkpoint_last_success_timestamp_seconds", ())] == 1000.0
    assert after[("atoll_checkpoint_size_bytes", ())] == 77
    assert after[("atoll_checkpoints_total", ("success",))] == 1
    assert after[("atoll_train_loss", ("train",))] == 0.25
    assert ("atoll_train_loss", ("holdout",)) not in after
    assert {name for name, _ in after} <= set(metrics.REPORTED)


def test_bytes_are_followed_by_peer_and_phase_and_counted_once() -> None:
    tally, own = tally_of("island", merges=True), Traffic()
    lent = Traffic(beside=own)
    for traffic in (own, lent):
        tally.follow(traffic)
    own.add("sent", "hub", 5)
    with own.during(EXCHANGE):
        lent.add("sent", "island", 7)
        own.add("received", "island", 11)
    lent.add("sent", "evaluate", 13)
    lent.add("sent", "router", 1)
    for _ in range(2):
        found = page(tally)
        bytes_of = {
            tuple(sorted(value for _, value in labels)): value
            for (name, labels), value in found.series.items()
            if name == "atoll_comm_bytes_total" and value
        }
        assert bytes_of == {
            ("hub", "sent", "setup"): 5,
            ("exchange", "island", "sent"): 7,
            ("exchange", "island", "received"): 11,
            ("other", "sent", "setup"): 14,
        }


def test_sockets_that_are_counted_anew_take_nothing_away() -> None:
    tally = tally_of("seed")
    for sent in (100, 250, 40):
        tally.sockets_moved("hub", sent, 0)
    if metrics.SOCKET_BYTES.name in page(tally).families:
        assert page(tally).value("atoll_socket_bytes_total", direction="sent", peer="hub") == 250


def test_what_a_role_has_no_family_for_is_passed_over() -> None:
    tally = tally_of("partition")
    before = page(tally)
    tally.merged("alone")
    tally.stepped(1.0)
    tally.router_is_right(1.0)
    tally.steps_told([("island-0", 1.0)])
    assert page(tally).series.keys() == before.series.keys()


def test_a_method_that_nobody_knows_makes_no_series_of_its_own() -> None:
    tally = tally_of("hub")
    for name in ("Fetch", "Made-up", "Also"):
        tally.call_ended(name, "server", "OK", 0.1)
    found = page(tally)
    count = "atoll_rpc_duration_seconds_count"
    assert found.value(count, method="other", side="server", code="OK") == 2
    assert found.value(count, method="Fetch", side="server", code="OK") == 1


def test_when_training_began_is_told() -> None:
    tally = tally_of("island")
    tally.training_begins(10, 60.0, gpu=False)
    found = page(tally)
    assert found.value("atoll_train_start_timestamp_seconds") == 1000.0
    assert found.value("atoll_train_target_steps") == 10
    assert found.value("atoll_checkpoint_interval_seconds") == 60.0


def test_families_of_a_gpu_are_there_once_there_is_one() -> None:
    tally = tally_of("island")
    assert "atoll_gpu_seconds_total" not in page(tally).families
    tally.gpu_held(1.0, 2, 3)
    tally.training_begins(10, 60.0, gpu=True)
    assert page(tally).value("atoll_gpu_seconds_total") == 0
    tally.gpu_held(2.5, 100, 200)
    tally.gpu_held(0.5, 50, 200)
    assert page(tally).value("atoll_gpu_seconds_total") == 3.0
    assert page(tally).value("atoll_gpu_memory_bytes") == 50


@pytest.mark.parametrize(
    ("role", "merges", "has", "lacks"),
    [
        ("hub", False, "atoll_hub_store_bytes", "atoll_train_steps_total"),
        ("island", True, "atoll_merge_round", "atoll_mergeability_gap"),
        ("island", False, "atoll_train_isolated", "atoll_merge_round"),
        ("merge", False, "atoll_mergeability_gap", "atoll_train_steps_total"),
        ("router", False, "atoll_router_accuracy_ratio", "atoll_train_isolated"),
        ("partition", False, "atoll_rpc_duration_seconds", "atoll_train_steps_total"),
    ],
)
def test_a_role_has_its_own_families(role: str, has: str, lacks: str, *, merges: bool) -> None:
    names = {family.name for family in metrics.of_role(role, merges=merges)}
    assert has in names
    assert lacks not in names


def test_a_hub_in_a_bucket_has_no_disk() -> None:
    names = {family.name for family in metrics.of_role("hub", on_disk=False)}
    assert "atoll_hub_disk_free_bytes" not in names
    assert "atoll_hub_store_bytes" in names
