"""How two JSON objects become one: merge patches (RFC 7386), and a simple server-side apply; pure."""

import copy

from atoll_operator.kubernetes.api import Json


def merge_patched(old: Json, patch: Json) -> Json:
    """`old` with the fields of `patch`; None removes, lists are replaced whole."""
    result = copy.deepcopy(old)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            held = result.get(name)
            result[name] = merge_patched(held if isinstance(held, dict) else {}, value)
        else:
            result[name] = copy.deepcopy(value)
    return result


def applied(old: Json, body: Json, last: Json) -> Json:
    """`old` with the fields of `body`, without those of `last` that `body` has no more.

    The API server merges some lists by key; here all are replaced whole.
    """
    result = copy.deepcopy(old)
    for name in last.keys() - body.keys():
        result.pop(name, None)
    for name, value in body.items():
        held, before = result.get(name), last.get(name)
        if isinstance(value, dict) and isinstance(held, dict):
            result[name] = applied(held, value, before if isinstance(before, dict) else {})
        else:
            result[name] = copy.deepcopy(value)
    return result
