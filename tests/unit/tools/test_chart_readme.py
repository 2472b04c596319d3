"""The table of values says what values.yaml says."""

import pytest

from tools.generate_chart_readme import BEGIN, END, Value, filled, table, values

TEXT = """\
# About the file.

# Of a.
a:
  # First.
  # And more.
  b: 1
  # Second.
  c: {}
# Whole.
d:
  e: x
"""


def test_a_section_gives_way_to_its_keys() -> None:
    assert values(TEXT) == [
        Value("a.b", "First. And more.", 1),
        Value("a.c", "Second.", {}),
        Value("d", "Whole.", {"e": "x"}),
    ]


def test_a_key_that_says_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="does not say what f is for"):
        values(f"{TEXT}\nf: 1\n")


def test_the_table_stands_between_its_marks() -> None:
    lines = table([Value("a", "Of a.", "x")])
    assert lines.splitlines()[2] == '| `a` | `"x"` | Of a. |'
    assert filled(f"1\n{BEGIN}old\n{END}2\n", lines) == f"1\n{BEGIN}{lines}{END}2\n"
    with pytest.raises(ValueError, match="lacks"):
        filled("1\n", lines)
