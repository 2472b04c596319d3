"""Which objects a field selector selects, as the API server understands it; pure.

For the fake. A real server knows a few fields of each kind and refuses the others; this one
takes any path to a text.
"""

import re
from typing import Final

from atoll_operator.kubernetes.api import Json

_TERM: Final = re.compile(r"([^=!\s]+)(==?|!=)([^=!\s]*)")


def fields_match(selector: str, body: Json) -> bool:
    """Whether every term is met; the empty selector selects all, and a missing field is empty.

    Raises:
        ValueError: that is no selector.
    """
    return all(_is_met(term, body) for term in filter(None, selector.split(",")))


def _is_met(term: str, body: Json) -> bool:
    found = _TERM.fullmatch(term)
    if found is None:
        raise ValueError(f"no field selector: {term!r}")
    path, operation, wanted = found.groups()
    return (_value(path, body) == wanted) == (operation != "!=")


def _value(path: str, body: Json) -> str:
    place: object = body
    for step in path.split("."):
        place = place.get(step) if isinstance(place, dict) else None
    return str(place or "")
