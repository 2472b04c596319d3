"""Which exit codes are tried again, and which cost a restart."""

import pytest

from atoll_operator.plan.policies.restarts import restarts


@pytest.mark.parametrize(
    ("exit_code", "counted", "budget", "again", "costs"),
    [
        (1, 0, 3, True, True),
        (137, 2, 3, True, True),
        (137, 3, 3, False, False),
        (1, 0, 0, False, False),
        (83, 3, 3, True, False),
        (65, 0, 3, False, False),
        (73, 0, 3, False, False),
        (74, 0, 3, False, False),
    ],
)
def test_restarts(exit_code: int, counted: int, budget: int, *, again: bool, costs: bool) -> None:
    choice = restarts(exit_code, counted, budget)

    assert (choice.again, choice.counted) == (again, costs)
    assert choice.why
