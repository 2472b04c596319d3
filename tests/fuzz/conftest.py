"""How a surface is tried, and the table at the end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuzzing import HEADER, ROW, Fuzz


@pytest.fixture
def fuzz(
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
    tmp_path: Path,
) -> Fuzz:
    option = request.config.getoption
    log = option("--fuzz-log")
    return Fuzz(
        cases=option("--fuzz-cases"),
        seed=option("--fuzz-seed"),
        only=option("--fuzz-case"),
        notes=tmp_path / "running.txt",
        log=Path(log) if log else None,
        record=record_property,
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(0))  # each case has a limit of its own, by SIGALRM


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = sorted(_rows(terminalreporter))
    if rows:
        terminalreporter.section("fuzz")
        for line in (HEADER, *rows, f"{sum(int(it[18:].split()[0]) for it in rows)} cases"):
            terminalreporter.write_line(line)


def _rows(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            yield from (str(it) for name, it in report.user_properties if name == ROW)
