"""The definition before a real API server: each of its rules refuses, and what the types accept
is never refused."""

from collections.abc import Iterator

import pytest
from cel_cases import CelCase, cel_cases
from dry_runs import DryRuns, dry_runs


@pytest.fixture(scope="module")
def server() -> Iterator[DryRuns]:
    with dry_runs() as found:
        yield found


@pytest.mark.parametrize("case", [*cel_cases()], ids=str)
def test_a_rule_refuses_with_its_message(server: DryRuns, case: CelCase) -> None:
    if case.before is None:
        causes = server.create(case.after)
    else:
        causes = server.change(case.before, case.after)
    (cause,) = causes
    assert cause.field == (case.field or "<nil>")
    assert cause.message.startswith("Invalid value: ")
    assert cause.message.endswith(f": {case.message}")
