"""A look at a job is as much work for each of its islands, however many there are.

Counted in calls of functions, which are the same each time, and not in seconds. What is measured in
seconds is `benchmarks/performance/plan_time.py`.
"""

from collections.abc import Callable
from functools import partial

import pytest
from counted_work import growth
from plan_time import MOMENTS, STRATEGIES, look, scene_of, spec_of

from atoll_operator.kubernetes.observing import children_of

FEW, MANY = 125, 375
"""More than a status lists: below that a job of few is told in full."""


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_pipeline_plan_and_status_are_linear_in_islands(strategy: str, moment: str) -> None:
    def work(islands: int) -> Callable[[], object]:
        return partial(look, MOMENTS[moment](spec_of(strategy, islands)))

    assert growth(work, FEW, MANY) < 1.1


def test_to_see_the_children_is_linear_in_islands() -> None:
    def work(islands: int) -> Callable[[], object]:
        spec = spec_of("ExpertEnsemble", islands)
        return partial(children_of, scene_of(spec), spec)

    assert growth(work, FEW, MANY) < 1.1


def test_what_looks_at_all_islands_for_each_of_them_would_be_seen() -> None:
    def work(islands: int) -> Callable[[], object]:
        moment = MOMENTS["in the middle"](spec_of("ExpertEnsemble", islands))

        def quadratic() -> None:
            look(moment)
            for one in moment.observed.children:
                all(not one.endswith(other) or other for other in moment.observed.children)

        return quadratic

    assert growth(work, FEW, MANY) > 1.3
