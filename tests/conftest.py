"""For all tests."""

import os

import pytest

# Expected bits are those of a CPU, on a machine with a GPU too; `test_on_gpu.py` says otherwise.
os.environ.setdefault("ATOLL_DEVICE", "cpu")


def pytest_addoption(parser: pytest.Parser) -> None:
    faults = parser.getgroup("faults", "runs under drawn faults, see docs/faults.md")
    faults.addoption("--fault-plans", type=int, help="So many, in place of a few.")
    faults.addoption("--fault-seed", type=int, help="The plan of this seed alone.")
    group = parser.getgroup("fuzz", "tests/fuzz")
    group.addoption("--fuzz-cases", type=int, default=2500, help="Cases, over all surfaces.")
    group.addoption("--fuzz-seed", type=int, default=0, help="What the cases are a function of.")
    group.addoption(
        "--fuzz-log", help="A file that gets what came of a surface when it is through."
    )
    group.addoption("--fuzz-case", type=int, help="Only the case of this number, with its error.")
