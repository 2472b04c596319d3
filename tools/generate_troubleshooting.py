"""Write the reasons of conditions into docs/troubleshooting.md; with `--check`, fail if it is stale.

The prose is written by hand; what a reason means, and what to do, is said once: in
`atoll_api.reasons`.
"""

import itertools
import sys
from collections.abc import Iterable
from pathlib import Path

from atoll_api.reasons import EXPLANATIONS, PAST, Explanation

PAGE = Path(__file__).resolve().parent.parent / "docs/troubleshooting.md"
BEGIN = "<!-- reasons: made of atoll_api/reasons.py by `make generate` -->\n"
END = "<!-- end of reasons -->\n"


def sections(explanations: Iterable[Explanation]) -> str:
    """A table for each condition, in Markdown."""
    grouped = itertools.groupby(explanations, key=lambda it: it.type)
    return "\n".join(f"### {kind}\n\n{_table(list(found))}" for kind, found in grouped)


def _table(explanations: list[Explanation]) -> str:
    rows = [
        f"| `{it.type}={it.status}` | `{it.reason}` | {it.meaning} | {it.remedy} |"
        for it in explanations
    ]
    return "\n".join(
        ["| condition | reason | what it means | what to do |", "|---|---|---|---|", *rows, ""]
    )


def past() -> str:
    """What is said of conditions that are over."""
    rows = [f"| `{reason}` | {meaning} |" for reason, meaning in PAST.items()]
    head = [
        "### Any condition, once it is False again",
        "",
        "| reason | what it means |",
        "|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def filled(page: str, text: str) -> str:
    """The page with this text between its marks.

    Raises:
        ValueError: it has no marks.
    """
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{PAGE.name} lacks {BEGIN.strip()} or {END.strip()}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def main() -> int:
    """Generate, or check."""
    text = filled(PAGE.read_text(), f"{sections(EXPLANATIONS)}\n{past()}")
    if "--check" not in sys.argv:
        PAGE.write_text(text)
    elif PAGE.read_text() != text:
        print(f"{PAGE.name} is not what atoll_api/reasons.py says: run `make generate`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
