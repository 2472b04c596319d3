"""Every reason is explained once for each condition that has it."""

from collections import Counter
from typing import get_args

from atoll_api.names import Role
from atoll_api.reasons import (
    EXPLANATIONS,
    FAILED_STEPS,
    NOTHING,
    PAST,
    FailedReason,
    PausedReason,
    Reason,
    RunningReason,
)


def words(literals: object) -> set[str]:
    return {word for it in get_args(literals) for word in words(it) or {it}}


def explained(kind: str, status: str) -> set[str]:
    return {it.reason for it in EXPLANATIONS if (it.type, it.status) == (kind, status)}


def test_every_reason_is_explained() -> None:
    assert {it.reason for it in EXPLANATIONS} | set(PAST) == words(Reason)
    assert explained("Failed", "True") == words(FailedReason)
    assert explained("Running", "True") == words(RunningReason)
    assert explained("Running", "False") | words(FailedReason) == words(PausedReason)
    assert explained("Accepted", "False") == {"Invalid"}


def test_each_stands_once_and_its_condition_in_one_place() -> None:
    assert set(Counter((it.type, it.status, it.reason) for it in EXPLANATIONS).values()) == {1}
    kinds = [it.type for it in EXPLANATIONS]
    assert kinds == sorted(kinds, key=kinds.index)


def test_who_is_told_of_a_failure_is_told_what_to_do() -> None:
    for it in EXPLANATIONS:
        assert it.meaning.endswith("."), it.reason
        assert it.remedy.endswith("."), it.reason
        assert it.remedy != NOTHING or it.type not in ("Failed", "Degraded", "Suspended")


def test_every_step_that_is_no_island_can_fail() -> None:
    assert set(FAILED_STEPS) == set(get_args(Role)) - {"hub", "island"}
