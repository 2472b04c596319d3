"""What a process said last: the one line of its output that tells people what became of it. Pure."""

from typing import Final

MESSAGE_BYTES: Final = 512
"""Enough for a sentence, and bounded in the status."""


def last_line(text: str) -> str:
    """The last line that is not empty, cut to MESSAGE_BYTES."""
    lines = (line.strip() for line in reversed(text.splitlines()))
    return next((line[:MESSAGE_BYTES] for line in lines if line), "")


def last_words(text: str, step: str) -> str:
    """The last line without the name of who said it: that stands beside it already."""
    return last_line(text).removeprefix(f"atoll: {step}: ")
