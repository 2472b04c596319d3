"""Write dashboards, alerts and the page of metrics; with `--check`, fail if one is stale.

They are made of the catalogues and of `tools/monitoring`.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from tools.monitoring import alerts, boards, reference
from tools.monitoring.alerts.alert import document
from tools.monitoring.board import text_of

ROOT = Path(__file__).resolve().parent.parent
FILES = ROOT / "charts/atoll/files"


def files() -> Mapping[Path, str]:
    """What each generated file holds."""
    dashboards = {FILES / f"dashboards/{it.uid}.json": text_of(it) for it in boards.ALL}
    return {
        **dashboards,
        FILES / "alerts.yaml": reference.rules_file(document(alerts.GROUPS)),
        ROOT / "docs/metrics.md": reference.page(),
        ROOT / "docs/runbooks/README.md": reference.index(alerts.GROUPS),
    }


def stale(wanted: Mapping[Path, str]) -> list[str]:
    """Files that are missing, hold something else, or are no dashboard any more."""
    known = {path for path in wanted if path.parent == FILES / "dashboards"}
    left = set((FILES / "dashboards").glob("*")) - known
    wrong = [it for it, text in wanted.items() if not it.exists() or it.read_text() != text]
    return sorted(str(path.relative_to(ROOT)) for path in (*wrong, *left))


def main() -> int:
    """Generate, or check."""
    wanted = files()
    if "--check" in sys.argv:
        for name in (found := stale(wanted)):
            print(f"{name} is not what tools/monitoring says: run `make generate`")
        return 1 if found else 0
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
