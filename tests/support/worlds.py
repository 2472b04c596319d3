"""Observations for tests of the brain, said in few words."""

from collections.abc import Mapping

from atoll_api.names import Ref, StepName
from atoll_operator.plan.model import Binding, Child, ChildState, Hub, Observed, StepProgress

ISLANDS = 3
START = 1_700_000_000.0
SERVING = Hub(Child(ChildState.RUNNING), "127.0.0.1:7000")

RUNNING = Child(ChildState.RUNNING, since=START)
GONE_WELL = Child(ChildState.SUCCEEDED, exit_code=0)
STARTING = Child(ChildState.STARTING)
STOPPED = Child(ChildState.STOPPED)


def failed(exit_code: int = 1, message: str = "it broke", restarts: int = 3) -> Child:
    return Child(ChildState.FAILED, restarts, exit_code, message)


def observed(
    children: Mapping[str, Child] | None = None,
    bound: tuple[str, ...] = (),
    progress: Mapping[str, StepProgress] | None = None,
    *,
    hub: Hub = SERVING,
    stop: bool = False,
) -> Observed:
    return Observed(
        start_time=START,
        hub=hub,
        children={StepName(name): child for name, child in (children or {}).items()},
        bindings={Ref(ref): Binding(f"blake3:{ref}", 10) for ref in (*bound, *parts(bound))},
        progress={StepName(name): report for name, report in (progress or {}).items()},
        stop_requested=stop,
    )


def parts(bound: tuple[str, ...]) -> tuple[str, ...]:
    """What is bound with an assignment, for as many islands as a job of these tests has."""
    return tuple(f"assignment/{i}" for i in range(ISLANDS)) if "assignment" in bound else ()


def experts(*islands: int) -> tuple[str, ...]:
    return tuple(f"experts/{island}" for island in islands)
