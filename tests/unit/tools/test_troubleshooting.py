"""The page of reasons: tables between marks, and prose that is left alone."""

import pytest

from atoll_api.reasons import Explanation
from tools.generate_troubleshooting import BEGIN, END, filled, sections


def test_a_table_for_each_condition() -> None:
    told = (
        Explanation("Failed", "True", "HubLost", "It is gone.", "Weep."),
        Explanation("Degraded", "True", "IslandLost", "One less."),
    )
    text = sections(told)
    assert text.startswith("### Failed\n\n| condition |")
    assert "| `Failed=True` | `HubLost` | It is gone. | Weep. |\n" in text
    assert "\n### Degraded\n" in text
    assert "| `Degraded=True` | `IslandLost` | One less. | Nothing. |\n" in text


def test_prose_is_left_alone() -> None:
    assert filled(f"a\n{BEGIN}old{END}b\n", "new") == f"a\n{BEGIN}\nnew\n{END}b\n"
    with pytest.raises(ValueError, match="lacks"):
        filled("no marks", "new")
