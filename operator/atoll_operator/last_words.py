"""What a process said last: the one line of its output that tells people what became of it. Pure."""

from typing import Final

from atoll_telemetry import logs

MESSAGE_BYTES: Final = 512
"""Enough for a sentence, and bounded in the status."""
_SAID: Final = "atoll: "


def last_line(text: str) -> str:
    """What a worker said at its end, else the last line that is not empty; cut to MESSAGE_BYTES.

    Empty where that one is a line of its log: whoever was killed had no last words, and what it
    did last is no reason.
    """
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    said = next((line for line in reversed(lines) if line.startswith(_SAID)), None)
    found = said or (lines[-1] if lines else "")
    return "" if logs.is_line(found) else printable(found)[:MESSAGE_BYTES]


def printable(text: str) -> str:
    """With `?` for what a terminal would obey and not show: it may come from anybody's code."""
    return "".join(it if it.isprintable() else "?" for it in text)


def last_words(text: str, step: str) -> str:
    """The last line without the name of who said it: that stands beside it already."""
    return last_line(text).removeprefix(f"atoll: {step}: ")
