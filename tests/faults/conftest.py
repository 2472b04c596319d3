"""Which fault plans are run, and what is said of them at the end."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-plans", type=int, help="so many, in place of a few")
    parser.addoption("--fault-seed", type=int, help="the plan of this seed alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed_of_simulation" in metafunc.fixturenames:
        module = metafunc.module
        one = metafunc.config.getoption("fault_seed", default=None)
        count = metafunc.config.getoption("fault_plans", default=None)
        chosen = module.SHORT if count is None else module.SEEDS[:count]
        metafunc.parametrize("seed_of_simulation", chosen if one is None else [one])
