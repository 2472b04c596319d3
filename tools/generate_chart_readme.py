"""Write the table of values into the chart's README.md; with `--check`, fail if it is stale.

What a value is for is said once: in the comment above it in values.yaml.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent.parent / "charts/atoll"
BEGIN = "<!-- values: made of values.yaml by `make generate` -->\n"
END = "<!-- end of values -->\n"
_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z]+):")


@dataclass(frozen=True)
class Value:
    """One line of the table."""

    path: str
    description: str
    default: Any


def values(text: str) -> list[Value]:
    """What is documented, in its order; of a key whose own keys are documented, only those.

    Raises:
        ValueError: a key of the first level says nothing.
    """
    found = list(_documented(text))
    silent = yaml.safe_load(text).keys() - {path.partition(".")[0] for path, _ in found}
    if silent:
        raise ValueError(f"values.yaml does not say what {', '.join(sorted(silent))} is for")
    sections = {path.rpartition(".")[0] for path, _ in found}
    defaults = yaml.safe_load(text)
    return [Value(it, said, _at(defaults, it)) for it, said in found if it not in sections]


def _documented(text: str) -> Iterator[tuple[str, str]]:
    """(path, comment) of every key right below a comment."""
    comment: list[str] = []
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.lstrip(" #"))
            continue
        key = _KEY.match(line)
        if key:
            indent = len(key["indent"])
            above = [it for it in above if it[0] < indent] + [(indent, key["key"])]
            if comment:
                yield ".".join(name for _, name in above), " ".join(comment)
        comment = []


def _at(defaults: Mapping[str, Any], path: str) -> Any:
    here: Any = defaults
    for name in path.split("."):
        here = here[name]
    return here


def table(found: list[Value]) -> str:
    """In Markdown."""
    rows = [f"| `{it.path}` | `{json.dumps(it.default)}` | {it.description} |" for it in found]
    return "\n".join(["| value | default | |", "|---|---|---|", *rows]) + "\n"


def filled(readme: str, lines: str) -> str:
    """The README with these lines between its marks."""
    before, _, rest = readme.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"README.md lacks {BEGIN.strip()} or {END.strip()}")
    return f"{before}{BEGIN}{lines}{END}{after}"


def main() -> int:
    """Generate, or check."""
    readme = CHART / "README.md"
    text = filled(readme.read_text(), table(values((CHART / "values.yaml").read_text())))
    if "--check" not in sys.argv:
        readme.write_text(text)
        return 0
    if readme.read_text() != text:
        print(f"{readme.parent.name}/README.md is not what values.yaml says: run `make generate`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
