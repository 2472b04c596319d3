"""Which fault plans are run."""

import pytest
import real_network
from real_plans import COUNT, NEEDS_ROOT, draw
from real_runs import Calm


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed_of_simulation" in metafunc.fixturenames:
        module = metafunc.module
        one = metafunc.config.getoption("fault_seed", default=None)
        count = metafunc.config.getoption("fault_plans", default=None)
        chosen = module.SHORT if count is None else module.SEEDS[:count]
        metafunc.parametrize("seed_of_simulation", chosen if one is None else [one])
    if "seed_of_processes" in metafunc.fixturenames:
        chosen = _chosen(metafunc.config, metafunc.module.SEEDS, metafunc.module.SHORT)
        metafunc.parametrize("seed_of_processes", [_case(seed) for seed in chosen])


def _chosen(config: pytest.Config, own: tuple[int, ...], short: tuple[int, ...]) -> list[int]:
    one: int | None = config.getoption("fault_seed", default=None)
    count: int | None = config.getoption("fault_plans", default=None)
    if one is not None:
        return [one] if (one % COUNT) in own else []
    return list(short) if count is None else [it for it in own if it < count]


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
