"""For all tests."""

import json
import os

import pytest

# Expected bits are those of a CPU, on a machine with a GPU too; `test_on_gpu.py` says otherwise.
os.environ.setdefault("ATOLL_DEVICE", "cpu")


TABLE = "fault"
"""Of a test's properties: a row of the table of what came of runs under faults, as JSON."""


def pytest_addoption(parser: pytest.Parser) -> None:
    faults = parser.getgroup("faults", "runs under drawn faults, see docs/faults.md")
    faults.addoption("--fault-plans", type=int, help="So many, in place of a few.")
    faults.addoption("--fault-seed", type=int, help="The plan of this seed alone.")
    faults.addoption("--fault-calls", action="store_true", help="A kill at each call of each step.")
    group = parser.getgroup("fuzz", "tests/fuzz")
    group.addoption("--fuzz-cases", type=int, default=2500, help="Cases, over all surfaces.")
    group.addoption("--fuzz-seed", type=int, default=0, help="What the cases are a function of.")
    group.addoption(
        "--fuzz-log", help="A file that gets what came of a surface when it is through."
    )
    group.addoption("--fuzz-case", type=int, help="Only the case of this number, with its error.")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [it for kind in ("passed", "failed") for it in terminalreporter.getreports(kind)]
    rows = [
        json.loads(value) for it in reports for name, value in it.user_properties if name == TABLE
    ]
    if not rows:
        return
    terminalreporter.section("runs under faults")
    for row in sorted(rows, key=lambda it: it[0]):
        terminalreporter.write_line("  ".join(map(str, row)))
