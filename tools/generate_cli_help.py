"""Write what each command says of itself into docs/cli.md; with `--check`, fail if it is stale.

The prose is written by hand; a block that begins with `$ atoll COMMAND --help` is not.
"""

import re
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import click

from atoll_cli.__main__ import atoll

PAGE = Path(__file__).resolve().parent.parent / "docs/cli.md"
WIDTH = 96
_BLOCK = re.compile(
    r"^```text\n\$ atoll (?P<words>.*?) ?--help\n.*?^```$", re.DOTALL | re.MULTILINE
)

Say = Callable[[str], str]


def filled(text: str, say: Say, commands: Collection[str]) -> str:
    """The page with every block as it should be.

    Args:
        text: The page.
        say: What a command says of itself; the whole of `atoll` for an empty name.
        commands: All there are.

    Raises:
        ValueError: a command has no block, or a block no command.
    """
    shown = {match["words"] for match in _BLOCK.finditer(text)} - {""}
    if missing := set(commands) - shown:
        raise ValueError(f"{PAGE.name} does not show {', '.join(sorted(missing))}")
    if unknown := shown - set(commands):
        raise ValueError(f"{PAGE.name} shows {', '.join(sorted(unknown))}, which is no command")
    return _BLOCK.sub(lambda match: _block(match["words"], say), text)


def _block(command: str, say: Say) -> str:
    words = f"$ atoll {command} --help".replace("  ", " ")
    return f"```text\n{words}\n{say(command).rstrip()}\n```"


def say(command: str) -> str:
    """As on a terminal of that width."""
    found = atoll.commands[command] if command else atoll
    parent = click.Context(atoll, info_name="atoll")
    settings = {"max_content_width": WIDTH, "terminal_width": WIDTH, **found.context_settings}
    above = parent if command else None
    with click.Context(found, above, info_name=command or "atoll", **settings) as context:
        return "\n".join(line.rstrip() for line in found.get_help(context).splitlines())


def main() -> int:
    """Generate, or check."""
    try:
        text = filled(PAGE.read_text(), say, atoll.commands)
    except ValueError as error:
        print(error)
        return 1
    if "--check" not in sys.argv:
        PAGE.write_text(text)
    elif PAGE.read_text() != text:
        print(f"{PAGE.name} is not what the commands say: run `make generate`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
