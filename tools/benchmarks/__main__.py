"""`python -m tools.benchmarks list | run | peers | page`: see each with --help."""

import argparse
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tools.benchmarks import page as pages
from tools.benchmarks.catalogue import BENCHMARKS, PEERS, Benchmark, find
from tools.benchmarks.results import ROOT, Figure, Result, figures_of, machine

_PAGE = ROOT / "docs" / "benchmarks.md"
_README = ROOT / "README.md"
_RATIOS = ("ratio", "x")


def main() -> int:
    """Do what was asked."""
    options = _options()
    match options.what:
        case "list":
            for it in BENCHMARKS:
                print(f"{it.name:22} {it.minutes:>4} min  {it.title}")
        case "run":
            return max((_run(find(name), quick=options.quick) for name in options.names), default=0)
        case "peers":
            return _peers(quick=options.quick)
        case _:
            return _page(check=options.check)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("list", help="what there is, and how long each takes")
    run = commands.add_parser("run", help="run some, one after another, and keep what they say")
    run.add_argument("names", nargs="+", choices=[it.name for it in BENCHMARKS], metavar="NAME")
    peers = commands.add_parser("peers", help="run all that have another program beside Atoll")
    for it in (run, peers):
        it.add_argument("--quick", action="store_true", help="a trial, of which nothing is kept")
    page = commands.add_parser("page", help="write docs/benchmarks.md and the README's figures")
    page.add_argument(
        "--check", action="store_true", help="only say whether they are as they must be"
    )
    return parser.parse_args()


def _run(benchmark: Benchmark, *, quick: bool) -> int:
    """Run one; its exit code. A missed target is none of failure: it is kept as missed."""
    figures, code = _figures(benchmark, quick=quick)
    if figures and not quick:
        date = datetime.now(UTC).date().isoformat()
        print(f"kept in {Result(benchmark.command, date, machine(), figures).save(benchmark.name)}")
    return code if not figures else 0


def _figures(benchmark: Benchmark, *, quick: bool) -> tuple[tuple[Figure, ...], int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        command = [sys.executable, str(ROOT / benchmark.script), *benchmark.arguments]
        command += ["--json", str(path), *(["--quick"] if quick else [])]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        return (figures_of(path.read_text()) if path.exists() else ()), code


def _peers(*, quick: bool) -> int:
    """Run them, and print every ratio with its smallest, middle and largest run."""
    rows: list[tuple[str, Figure]] = []
    for name in PEERS:
        benchmark = find(name)
        figures, code = _figures(benchmark, quick=quick)
        if not figures:
            return code or 1
        rows += [(benchmark.title, it) for it in figures if it.unit in _RATIOS]
    print(f"\n{'ratio':76} {'min':>9} {'median':>9} {'max':>9}  target")
    for title, figure in rows:
        low, high = figure.spread
        met = {True: "met", False: "MISSED", None: ""}[figure.met]
        target = "" if figure.target is None else f"{figure.target:g} {met}"
        print(
            f"{figure.name[:76]:76} {low:9.2f} {figure.value:9.2f} {high:9.2f}  {target}  # {title}"
        )
    return 0


def _page(*, check: bool) -> int:
    results = pages.kept()
    wanted = {
        _PAGE: pages.page(results),
        _README: pages.with_headlines(_README.read_text(), pages.headlines(results)),
    }
    stale = [it for it, text in wanted.items() if not it.exists() or it.read_text() != text]
    if check and stale:
        print(f"not as the results say: {', '.join(it.name for it in stale)}: run make generate")
        return 1
    for path in stale:
        path.write_text(wanted[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
