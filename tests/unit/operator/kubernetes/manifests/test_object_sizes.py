"""No object of a job of as many islands as there may be is larger than a cluster takes.

All kinds of graphs and all sizes: `benchmarks/performance/object_sizes.py`.
"""

from typing import Any

import pytest
from builders import make_job
from object_sizes import Size, sizes, strategies, worst_status

from atoll_api.problems import InvalidJobError
from atoll_api.spec import TrainingJob
from atoll_api.spec.islands import MOST_ISLANDS

STRATEGIES = {
    it: strategies()[it] for it in ("ExpertEnsemble", "SingleMerge", "IterativeMerge, Torus")
}


def largest(strategy: dict[str, Any] = STRATEGIES["ExpertEnsemble"], more: int = 0) -> TrainingJob:
    return make_job(
        **{"islands.count": MOST_ISLANDS + more},
        partition={"type": "Random"},
        strategy=strategy,
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_largest_job_has_room_in_every_object(strategy: str) -> None:
    job = largest(STRATEGIES[strategy])
    found = {it.kind: it for it in sizes(job.spec)}
    assert {"ConfigMap", "Secret", "Job", "StatefulSet", "NetworkPolicy"} <= found.keys()
    assert [it for it in found.values() if not it.fits] == []


def test_its_certificates_are_in_several_secrets() -> None:
    job = largest()
    secrets = next(it for it in sizes(job.spec) if it.kind == "Secret")
    assert secrets.count == 1 + MOST_ISLANDS / 500
    assert secrets.size_bytes > 256 * 1024, "certificates are as large as those of a job"


def test_its_status_lists_some_of_its_islands() -> None:
    said = worst_status(largest().spec)
    assert (len(said.islands), said.islands_ready) == (100, f"200/{MOST_ISLANDS}")


def test_what_is_too_large_is_seen() -> None:
    assert not Size("ConfigMap", 2**20 + 1, 2**20).fits


def test_there_are_no_larger_jobs() -> None:
    with pytest.raises(InvalidJobError, match=f"less than or equal to {MOST_ISLANDS}"):
        largest(more=1)
