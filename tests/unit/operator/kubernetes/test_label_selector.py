"""Selectors as the API server understands them; tests/ports compares some with the real one."""

import pytest

from atoll_operator.kubernetes.label_selector import matches

LABELS = {"app": "atoll", "example.org/role": "island"}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True),
        ("app", True),
        ("!app", False),
        ("other", False),
        ("! other", True),
        ("app=atoll", True),
        ("app==atoll", True),
        ("app = atoll , example.org/role=island", True),
        ("app=atoll,example.org/role=hub", False),
        ("app!=atoll", False),
        ("other!=atoll", True),
        ("app in (atoll,other)", True),
        ("app in (other)", False),
        ("app notin (other, more),app", True),
        ("other notin (atoll)", True),
        ("app=", False),
    ],
)
def test_requirements_are_met_or_not(selector: str, *, expected: bool) -> None:
    assert matches(selector, LABELS) is expected


@pytest.mark.parametrize("selector", ["a b", "app in atoll", "=x", "a,,b"])
def test_nonsense_is_refused(selector: str) -> None:
    with pytest.raises(ValueError, match="no label selector"):
        matches(selector, LABELS)
