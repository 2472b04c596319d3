"""The page of the command line shows what the commands say."""

import pytest

from tools.generate_cli_help import filled, say

PAGE = """\
Prose.

```text
$ atoll --help
old
```

```text
$ atoll run --help
```

```text
$ other --help
```
"""


def test_blocks_are_filled_and_prose_is_left_alone() -> None:
    text = filled(PAGE, lambda command: f"help of {command or 'all'}\n", ["run"])
    assert "$ atoll --help\nhelp of all\n```\n" in text
    assert "$ atoll run --help\nhelp of run\n```\n" in text
    assert text.startswith("Prose.\n")
    assert text.endswith("```text\n$ other --help\n```\n")


def test_a_command_without_a_block_and_a_block_without_a_command() -> None:
    with pytest.raises(ValueError, match="does not show walk"):
        filled(PAGE, str, ["run", "walk"])
    with pytest.raises(ValueError, match="shows run, which is no command"):
        filled(PAGE, str, [])


def test_what_a_command_says() -> None:
    assert say("status").startswith("Usage: atoll status [OPTIONS] [TARGET]\n")
    assert "On a cluster:" in say("")
