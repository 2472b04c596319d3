"""The one line that people are told of a process that has ended."""

import pytest

from atoll_operator.last_words import MESSAGE_BYTES, last_words

TEXT = "2026-11-22 05:00:45.383 INFO    checkpoint of step 100 saved in 0.1 s"
JSON = '{"ts": "2026-11-22T05:00:45.383Z", "level": "info", "logger": "a", "msg": "saved"}'
SAID = "atoll: island-0: the loss was nan"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", ""),
        (f"{TEXT}\n{SAID}\n", "the loss was nan"),
        (f"{JSON}\n{SAID}\n\n", "the loss was nan"),
        (f"{SAID}\n{JSON}\n", "the loss was nan"),
        (f"{TEXT}\n", ""),
        (f"{JSON}\n", ""),
        (f"{JSON}\nterminate called: bad_alloc", "terminate called: bad_alloc"),
        ("Traceback\n  File x\nImportError: no torch\n", "ImportError: no torch"),
        (
            "atoll: worker: the work order cannot be read",
            "atoll: worker: the work order cannot be read",
        ),
        ("x" * 600, "x" * MESSAGE_BYTES),
        (
            "atoll: island-0: \x1b]0;owned\x07\x1b[2J\tgone \u202e\N{GREEK SMALL LETTER ALPHA}",
            "?]0;owned??[2J?gone ?\N{GREEK SMALL LETTER ALPHA}",
        ),
    ],
)
def test_they_are_no_line_of_the_log(output: str, expected: str) -> None:
    assert last_words(output, "island-0") == expected
