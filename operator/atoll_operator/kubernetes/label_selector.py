"""Which labels a selector selects, as the API server understands it; pure.

For the fake, and for whoever has labels at hand and no server to ask.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

Labels = Mapping[str, str]
Test = Callable[[Labels], bool]

_COMMA_OUTSIDE_BRACKETS: Final = re.compile(r",(?![^(]*\))")
_SET: Final = re.compile(r"(\S+)\s+(in|notin)\s*\(([^)]*)\)")
_EQUAL: Final = re.compile(r"([^=!\s]+)\s*(==?|!=)\s*(\S*)")


def matches(selector: str, labels: Labels) -> bool:
    """Whether every requirement is met; the empty selector selects all.

    Raises:
        ValueError: that is no selector.
    """
    parts = _COMMA_OUTSIDE_BRACKETS.split(selector) if selector.strip() else []
    requirements = [_requirement(part.strip()) for part in parts]
    return all(is_met(labels) for is_met in requirements)


def _requirement(text: str) -> Test:
    if found := _SET.fullmatch(text):
        key, operation, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        # As there: what lacks the label is "not in" too.
        return lambda labels: (labels.get(key) in values) == (operation == "in")
    if found := _EQUAL.fullmatch(text):
        key, operation, value = found.groups()
        return lambda labels: (labels.get(key) == value) == (operation != "!=")
    if re.fullmatch(r"!\s*\S+", text):
        return lambda labels: text[1:].strip() not in labels
    if re.fullmatch(r"[^\s=!()]+", text):
        return lambda labels: text in labels
    raise ValueError(f"no label selector: {text!r}")
