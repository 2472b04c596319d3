"""What the state of a Lease allows."""

from datetime import UTC, datetime, timedelta

import pytest

from atoll_operator.kubernetes.api import Json, Key
from atoll_operator.kubernetes.lease import (
    LeaseTiming,
    holder_of,
    is_free,
    new_lease,
    released,
    seen,
    taken,
)

TIMING = LeaseTiming()
WALL = datetime(2026, 1, 1, tzinfo=UTC)
NEW = new_lease(Key("atoll", "operator"))
OURS = taken(NEW, "us", TIMING, WALL)


def renewed(body: Json, identity: str = "us", seconds: float = 1.0) -> Json:
    return taken(body, identity, TIMING, WALL + timedelta(seconds=seconds))


def test_a_lease_is_taken_renewed_taken_over_and_released() -> None:
    assert OURS["spec"] == {
        "holderIdentity": "us",
        "leaseDurationSeconds": 10,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-01-01T00:00:00.000000Z",
        "leaseTransitions": 0,
    }
    again = renewed(OURS)["spec"]
    assert (again["acquireTime"], again["renewTime"]) == (
        "2026-01-01T00:00:00.000000Z",
        "2026-01-01T00:00:01.000000Z",
    )
    theirs = renewed(OURS, "them")
    assert theirs["spec"]["acquireTime"] == "2026-01-01T00:00:01.000000Z"
    assert theirs["spec"]["leaseTransitions"] == 1
    nobodys = released(theirs, WALL)
    assert holder_of(nobodys) == ""
    assert renewed(nobodys)["spec"]["leaseTransitions"] == 2
    assert "spec" not in NEW


def test_expiry_is_counted_from_the_change_that_was_seen() -> None:
    first = seen(None, OURS, now=100.0)
    unchanged = seen(first, {**OURS, "metadata": {"resourceVersion": "9"}}, now=105.0)
    assert not is_free(unchanged, "them", now=109.9)
    assert is_free(unchanged, "them", now=110.0)
    changed = seen(unchanged, renewed(OURS), now=109.0)
    assert not is_free(changed, "them", now=118.9)
    assert is_free(changed, "them", now=119.0)


def test_the_times_of_other_machines_do_not_count() -> None:
    ancient = taken(NEW, "us", TIMING, datetime(1999, 1, 1, tzinfo=UTC))
    assert not is_free(seen(None, ancient, now=0.0), "them", now=9.9)


def test_nobodys_and_the_own_lease_are_free() -> None:
    assert is_free(seen(None, NEW, now=0.0), "them", now=0.0)
    assert is_free(seen(None, OURS, now=0.0), "us", now=0.0)
    assert is_free(seen(None, released(OURS, WALL), now=0.0), "them", now=0.0)


@pytest.mark.parametrize("timing", [(7, 7, 2), (10, 2.4, 2), (10, 7, 0)])
def test_a_timing_that_cannot_work_is_refused(timing: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="not duration > renew deadline"):
        LeaseTiming(*timing)
