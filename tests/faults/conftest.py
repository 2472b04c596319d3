"""Which fault plans are run."""

import pytest
import real_network
from drawn_seeds import chosen
from real_plans import COUNT, NEEDS_ROOT, draw
from real_runs import Calm


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    config, module = metafunc.config, metafunc.module
    if "seed_of_simulation" in metafunc.fixturenames:
        metafunc.parametrize("seed_of_simulation", chosen(config, module.SEEDS, module.SHORT))
    if "seed_of_processes" in metafunc.fixturenames:
        seeds = chosen(config, module.SEEDS, module.SHORT)
        own = [_case(it) for it in seeds if it % COUNT in module.SEEDS]
        metafunc.parametrize("seed_of_processes", own)


def _case(seed: int) -> object:
    plan = draw(seed)
    marks = []
    if any(it.kind in NEEDS_ROOT for it in plan.faults) and not real_network.possible():
        marks.append(pytest.mark.skip(reason="a network or a disk of its own needs root"))
    kinds = "+".join(it.kind for it in plan.faults)
    return pytest.param(seed, id=f"{seed}-{plan.strategy}-{kinds}", marks=marks)


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """What the runs bind that nobody disturbs, each done when it is first asked for."""
    return Calm(tmp_path_factory.mktemp("calm"))
