"""From the bytes of a watch to its events; pure.

Pieces come as the network cuts them; an object may be larger than any buffer of a library.
"""

import json
from typing import cast

from atoll_operator.errors import UnavailableError
from atoll_operator.kubernetes.api import Bookmark, Changed, Json, Removed, WatchEvent, version_of
from atoll_operator.kubernetes.refusals import refusal_of


class Lines:
    """Joins pieces and cuts lines; each byte is copied once."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that end in this piece."""
        head, *rest = piece.split(b"\n")
        self._begun.append(head)
        if not rest:
            return []
        lines = [b"".join(self._begun), *rest[:-1]]
        self._begun = [rest[-1]]
        return [line for line in lines if line.strip()]


def watch_event(line: bytes) -> WatchEvent:
    """What a line says.

    Raises:
        ApiError: the server ends the watch with it.
    """
    event = parsed(line)
    match event["type"]:
        case "ADDED" | "MODIFIED":
            return Changed(event["object"])
        case "DELETED":
            return Removed(event["object"])
        case "BOOKMARK":
            return Bookmark(version_of(event["object"]))
        case _:
            raise refusal_of(event["object"])


def parsed(text: bytes) -> Json:
    """An object of JSON; what is none comes from a broken server, or from a proxy."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UnavailableError(f"an answer that is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise UnavailableError("an answer that is no object")
    return cast(Json, document)
