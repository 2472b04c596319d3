"""Numbers arrive where Prometheus reads them, and are there from the start."""

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from atoll_telemetry.families import Label, counter, gauge, histogram
from atoll_telemetry.instruments import Instruments

COLOUR = Label("colour", "Of it.", ("red", "blue"))
CODE = Label("code", "Of the answer.", ("OK", "ABORTED"), begins_with=("OK",))
NAME = Label("name", "Of a step.")
SEEN = counter("test_seen_total", "What was seen.", COLOUR)
ASKED = counter("test_asked_total", "What was asked.", COLOUR, CODE)
HEAT = gauge("test_heat_celsius", "How hot it is.")
BY_STEP = gauge("test_level", "How far.", NAME)
TOOK = histogram("test_took_seconds", "How long.", COLOUR, buckets=(0.1, 1.0))


def series(made: Instruments) -> dict[tuple[str, tuple[str, ...]], float]:
    content, content_type = made.exposition()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
    }


def test_what_is_known_beforehand_begins_at_zero() -> None:
    found = series(Instruments([SEEN, ASKED, HEAT, BY_STEP, TOOK]))
    assert {key: value for key, value in found.items() if "took" not in key[0]} == {
        ("test_seen_total", ("red",)): 0.0,
        ("test_seen_total", ("blue",)): 0.0,
        ("test_asked_total", ("OK", "red")): 0.0,
        ("test_asked_total", ("OK", "blue")): 0.0,
        ("test_heat_celsius", ()): 0.0,
    }
    assert found[("test_took_seconds_count", ("blue",))] == 0.0


def test_numbers_arrive_under_their_labels() -> None:
    made = Instruments([SEEN, ASKED, HEAT, BY_STEP, TOOK])
    made.add(SEEN, 2.0, "red")
    made.add(SEEN, 1.0, "red")
    made.add(ASKED, 1.0, "blue", "ABORTED")
    made.set(HEAT, math.nan)
    made.set(BY_STEP, 4.0, "island-0")
    made.observe(TOOK, 0.5, "blue")
    found = series(made)
    assert found[("test_seen_total", ("red",))] == 3.0
    assert found[("test_asked_total", ("ABORTED", "blue"))] == 1.0
    assert math.isnan(found[("test_heat_celsius", ())])
    assert found[("test_level", ("island-0",))] == 4.0
    assert found[("test_took_seconds_bucket", ("blue", "0.1"))] == 0.0
    assert found[("test_took_seconds_bucket", ("blue", "1.0"))] == 1.0


def test_two_processes_share_nothing() -> None:
    one, other = Instruments([HEAT]), Instruments([HEAT])
    one.set(HEAT, 5.0)
    assert series(other)[("test_heat_celsius", ())] == 0.0


def test_a_family_that_was_not_made_cannot_be_counted() -> None:
    with pytest.raises(KeyError):
        Instruments([HEAT]).add(SEEN, 1.0, "red")
