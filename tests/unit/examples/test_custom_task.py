"""The example of a custom task does what its README says."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML
from training import SmallJob, metadata_of

from atoll_api.problems import parse_job
from atoll_worker.roles import baseline, island, partition, router

FOLDER = Path(__file__).parents[3] / "examples" / "custom_task"


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> SmallJob:
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = parse_job(YAML(typ="safe").load((FOLDER / "job.yaml").read_text())).spec
    return SmallJob(data=spec.data, task=spec.task, partition=spec.partition, steps=200)


def test_a_users_task_goes_through_every_role_that_trains(job: SmallJob) -> None:
    partition.run(job.partition_order(), job.context("partition"))
    for number in range(job.count):
        island.run(job.island_order(number), job.context(f"island-{number}"))
    router.run(job.router_order(), job.context("router"))
    baseline.run(job.baseline_order(), job.context("baseline"))
    for ref in ("experts/0", "experts/1", "baseline"):
        found = metadata_of(job, ref)
        assert found["gatePassed"] is True
        assert found["contract"]["task"] == "DigitClassifier"
    assert [one["from"] for one in metadata_of(job, "router")["holdout"]["byTime"]] == [0.0]


def test_it_is_as_short_as_promised() -> None:
    assert len((FOLDER / "digit_classifier.py").read_text().splitlines()) < 60
