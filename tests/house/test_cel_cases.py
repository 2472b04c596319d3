"""Every CEL rule has an object that breaks it; `tests/integration` shows them to an API server."""

from collections import Counter

from cel_cases import cel_cases
from schema_nodes import cel_rules


def test_every_rule_has_one_case_and_every_case_a_rule() -> None:
    rules, cases = Counter(cel_rules()), Counter((it.path, it.message) for it in cel_cases())
    assert rules - cases == Counter(), "rules without a case: see tests/support/cel_cases.py"
    assert cases - rules == Counter(), "cases of no rule"
    assert set(rules.values()) == {1}, "two rules of a node that say the same"
