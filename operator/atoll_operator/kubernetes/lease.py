"""Who leads, as a Lease says it, and what its state allows; pure.

Clocks of machines are never compared: a lease is over when its record has not changed for its
duration, by the clock of who looks. The times in it are for people.
"""

import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from atoll_operator.kubernetes.api import Json, Key
from atoll_operator.kubernetes.resources import LEASES

_RELEASED_SECONDS: Final = 1
"""A duration of 0 is not valid."""


@dataclass(frozen=True)
class LeaseTiming:
    """As in controller-runtime, shortened: another replica leads within 10 + 2 x 2.4 seconds.

    The leader stops `duration - renew_deadline` seconds before anybody may follow it, by clocks
    that run equally fast to within that part.
    """

    duration_seconds: float = 10.0
    """Nobody else leads before so long after the last renewal."""
    renew_deadline_seconds: float = 7.0
    """The leader gives up so long after it sent the last renewal that succeeded."""
    retry_seconds: float = 2.0
    """Between attempts; a fifth more by chance for those who wait."""

    @property
    def attempt_seconds(self) -> float:
        """One attempt may hang for so long: there is time for another one."""
        return (self.renew_deadline_seconds - self.retry_seconds) / 2

    def __post_init__(self) -> None:
        """As client-go demands it."""
        if not self.duration_seconds > self.renew_deadline_seconds > 1.2 * self.retry_seconds > 0:
            raise ValueError("not duration > renew deadline > 1.2 x retry > 0")


@dataclass(frozen=True)
class Sighting:
    """A Lease, and since when it is known to be as it is."""

    body: Json
    since: float
    """Of the own clock, when this state was first seen."""


def holder_of(body: Json) -> str:
    """Who leads; empty: nobody."""
    return str(_spec(body).get("holderIdentity") or "")


def seen(before: Sighting | None, body: Json, now: float) -> Sighting:
    """What is known after reading a Lease: an unchanged one keeps its age."""
    unchanged = before is not None and _spec(before.body) == _spec(body)
    return Sighting(body, before.since if before is not None and unchanged else now)


def is_free(sighting: Sighting, identity: str, now: float) -> bool:
    """Whether `identity` may take it, or holds it."""
    if holder_of(sighting.body) in ("", identity):
        return True
    duration = float(_spec(sighting.body).get("leaseDurationSeconds") or 0)
    return now >= sighting.since + duration


def taken(body: Json, identity: str, timing: LeaseTiming, wall: datetime) -> Json:
    """The Lease as `identity` takes or renews it; `body` is its last state."""
    spec = _spec(body)
    result = copy.deepcopy(body)
    held = spec.get("holderIdentity") == identity
    result["spec"] = {
        "holderIdentity": identity,
        "leaseDurationSeconds": round(timing.duration_seconds),
        "acquireTime": spec.get("acquireTime") if held else _micro_time(wall),
        "renewTime": _micro_time(wall),
        "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (bool(spec) and not held),
    }
    return result


def released(body: Json, wall: datetime) -> Json:
    """The Lease as its holder leaves it to whoever comes first."""
    result = copy.deepcopy(body)
    result["spec"] |= {
        "holderIdentity": "",
        "leaseDurationSeconds": _RELEASED_SECONDS,
        "renewTime": _micro_time(wall),
    }
    return result


def new_lease(key: Key) -> Json:
    """A Lease that nobody holds."""
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {"namespace": key.namespace, "name": key.name},
    }


def _spec(body: Json) -> dict[str, Any]:
    return body.get("spec") or {}


def _micro_time(wall: datetime) -> str:
    return wall.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
