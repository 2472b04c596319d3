"""Lines out of pieces, and events out of lines."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_operator.errors import GoneError, UnavailableError
from atoll_operator.kubernetes.api import Bookmark, Changed, Removed
from atoll_operator.kubernetes.watch_lines import Lines, parsed, watch_event


@given(st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line)), st.data())
def test_lines_do_not_depend_on_how_the_network_cuts_them(
    lines: list[bytes], data: st.DataObject
) -> None:
    text = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    reader, found = Lines(), []
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        found += reader.feed(text[begin:end])
    assert found == [line for line in lines if line.strip()]


def event(kind: str, **body: Any) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode()


def test_every_type_has_a_meaning() -> None:
    body = {"metadata": {"name": "one", "resourceVersion": "7"}}
    assert watch_event(event("ADDED", **body)) == Changed(body)
    assert watch_event(event("MODIFIED", **body)) == Changed(body)
    assert watch_event(event("DELETED", **body)) == Removed(body)
    assert watch_event(event("BOOKMARK", **body)) == Bookmark("7")
    with pytest.raises(GoneError, match="too old"):
        watch_event(event("ERROR", code=410, reason="Expired", message="too old"))


@pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b'{"cut'])
def test_what_is_no_object_is_a_broken_connection(text: bytes) -> None:
    with pytest.raises(UnavailableError):
        parsed(text)
