"""What a local run allows at once."""

import pytest
from builders import job

from atoll_operator.local.options import LocalOptions


@pytest.mark.parametrize(("baseline", "least"), [(False, 4), (True, 5)])
def test_islands_the_merge_and_the_baseline_all_run_at_once(*, baseline: bool, least: int) -> None:
    """Islands wait for the merge: a baseline that runs for hours may not have its place."""
    spec = job(3, baseline=baseline, strategy={"type": "SingleMerge"}).spec
    assert LocalOptions(parallel=1).places(spec) == least


def test_experts_share_the_places_that_there_are() -> None:
    assert LocalOptions(parallel=1).places(job(3, baseline=True).spec) == 1
