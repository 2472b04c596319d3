"""The evaluate role on small jobs that the other roles have trained, over a hub in memory."""

import json
import math
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import JsonValue
from torch import nn
from training import SMALL_DIFFUSION, SmallJob, save_npz

from atoll_api import names
from atoll_api.spec.evaluation import Evaluation
from atoll_api.spec.partition import Partition
from atoll_api.spec.strategy import Combine
from atoll_api.spec.task import CustomTask, DiffusionTask, Task
from atoll_api.work_order import EvaluateOrder
from atoll_worker.errors import ContractError, DisruptedError
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryStop
from atoll_worker.ports import Artifact
from atoll_worker.roles import baseline, evaluate, island, partition, router
from atoll_worker.tasks.base import Batch, Inputs, SampleSpec

COUNT = 2


def trained(tmp_path: Path, task: Task = SMALL_DIFFUSION) -> SmallJob:
    generator = np.random.default_rng(0)
    label = generator.integers(0, 3, 200)
    x = generator.normal(0, 0.3, (200, 1, 4, 4)).astype(np.float32) + label[:, None, None, None] / 3
    data = save_npz(tmp_path / "data.npz", x=x.clip(-1, 1), y=label)
    job = SmallJob(data=data, task=task, partition=Partition(type="Random"), count=COUNT)
    partition.run(job.partition_order(), job.context("partition"))
    for number in range(COUNT):
        island.run(job.island_order(number), job.context(f"island-{number}"))
    router.run(job.router_order(), job.context("router"))
    baseline.run(job.baseline_order(), job.context("baseline"))
    return job


def order(job: SmallJob, folder: Path, **changes: Any) -> EvaluateOrder:
    said: dict[str, Any] = {
        **job.island_order(0).model_dump(include=EvaluateOrder.model_fields.keys() - {"role"}),
        "step": "evaluate",
        "count": COUNT,
        "quorum": COUNT,
        "combine": Combine(type="Full"),
        "evaluation": Evaluation(
            samples=64,
            seeds=2,
            sampler_steps=4,
            strategies=("Full", "TopK", "Threshold", "Sticky", "Sample", "Oracle"),
        ),
        "baseline": True,
        "report_folder": str(folder),
    }
    return EvaluateOrder(**{**said, **changes})


def without(job: SmallJob, ref: str) -> SmallJob:
    """A copy of the job in which `ref` was never bound."""
    copied = MemoryArtifacts()
    for bound in job.artifacts.bindings():
        if bound not in {ref, names.REPORT_REF}:
            copied.publish(bound, job.artifacts.fetch(bound))
    return replace(job, artifacts=copied)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> SmallJob:
    return trained(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def folder(job: SmallJob, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("report")
    evaluate.run(order(job, found), job.context("evaluate"))
    return found


def test_every_system_is_scored_and_written_down(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    systems = {it["name"]: it for it in report["findings"]["systems"]}
    expected = ["Baseline", "Full", "TopK", "Threshold", "Sticky", "Sample", "Oracle"]
    assert list(systems) == expected
    for system in systems.values():
        assert len(system["samples"]["frechetTrain"]["values"]) == 2
        assert system["samples"]["frechetTrain"]["mean"] > 0
    assert systems["Full"]["meanActiveExperts"] == COUNT
    assert systems["Sticky"]["meanActiveExperts"] == 1
    assert systems["Sticky"]["flopsPerStep"] == systems["Baseline"]["flopsPerStep"]
    assert systems["TopK"]["flopsPerStep"] > systems["Sticky"]["flopsPerStep"]
    assert {metric["name"] for metric in report["metrics"]} > {"FrechetTrain", "HoldoutLoss"}
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.html",
        "report.json",
        "samples.png",
    ]


def test_the_page_is_small_and_whole(folder: Path) -> None:
    html = (folder / "report.html").read_bytes()
    assert html.rstrip().endswith(b"</html>")
    assert len(html) < 1_500_000


def test_the_report_repeats_itself_bit_for_bit(job: SmallJob, folder: Path, tmp_path: Path) -> None:
    again = without(job, names.REPORT_REF)
    evaluate.run(order(again, tmp_path), again.context("evaluate"))
    first = job.artifacts.bindings(names.REPORT_REF)[names.REPORT_REF]
    assert again.artifacts.bindings(names.REPORT_REF)[names.REPORT_REF].digest == first.digest
    assert (tmp_path / "report.json").read_bytes() == (folder / "report.json").read_bytes()


def test_progress_rises_to_its_end_with_the_verdict(job: SmallJob, folder: Path) -> None:
    last = job.reports["evaluate"]
    assert last.done == last.total
    assert "ensemble" in last.message


def test_a_bound_report_is_not_made_again(job: SmallJob, folder: Path, tmp_path: Path) -> None:
    evaluate.run(order(job, tmp_path), job.context("evaluate"))
    assert not list(tmp_path.iterdir())


def test_a_lost_island_degrades_the_ensemble_and_is_told(job: SmallJob, tmp_path: Path) -> None:
    rest = without(job, names.expert_ref(1))
    evaluate.run(order(rest, tmp_path, quorum=1), rest.context("evaluate"))
    findings = json.loads((tmp_path / "report.json").read_text())["findings"]
    assert [it["present"] for it in findings["islands"]] == [True, False]
    assert {it["meanActiveExperts"] for it in findings["systems"]} == {1.0}
    assert any("Island 1 was lost" in note for note in findings["verdict"]["notes"])


def test_too_few_experts_are_refused_with_both_numbers(job: SmallJob, tmp_path: Path) -> None:
    rest = without(job, names.expert_ref(1))
    with pytest.raises(ContractError, match="1 of 2 experts are there, the quorum is 2"):
        evaluate.run(order(rest, tmp_path), rest.context("evaluate"))


def test_an_expert_of_another_noise_path_is_refused_by_name(job: SmallJob, tmp_path: Path) -> None:
    rest = without(job, names.expert_ref(1))
    other = job.artifacts.fetch(names.expert_ref(1))
    said: dict[str, JsonValue] = {**other.metadata, "contract": {"path": "Cosine"}}
    rest.artifacts.publish(names.expert_ref(1), Artifact(other.tensors, said, other.parents))
    with pytest.raises(ContractError, match=r"experts/1 .*Cosine.*Linear"):
        evaluate.run(order(rest, tmp_path), rest.context("evaluate"))


def test_weights_that_do_not_fit_are_refused_by_name(job: SmallJob, tmp_path: Path) -> None:
    rest = without(job, names.expert_ref(0))
    other = job.artifacts.fetch(names.expert_ref(0))
    wrong = {name: torch.zeros(3) for name in other.tensors}
    rest.artifacts.publish(names.expert_ref(0), Artifact(wrong, other.metadata))
    with pytest.raises(ContractError, match="the weights of experts/0 do not fit"):
        evaluate.run(order(rest, tmp_path), rest.context("evaluate"))


@pytest.mark.parametrize("ref", [names.expert_ref(0), names.ROUTER_REF, names.BASELINE_REF])
def test_weights_of_another_type_are_refused_and_not_converted(
    job: SmallJob, tmp_path: Path, ref: names.Ref
) -> None:
    rest = without(job, ref)
    other = job.artifacts.fetch(ref)
    wider = {name: tensor.double() for name, tensor in other.tensors.items()}
    rest.artifacts.publish(ref, Artifact(wider, other.metadata))
    expected = f"the weights of {ref} do not fit .* is float64 .*, the model has float32"
    with pytest.raises(ContractError, match=expected):
        evaluate.run(order(rest, tmp_path), rest.context("evaluate"))


@pytest.mark.parametrize("width", [None, "64", 0, 10**9])
def test_a_router_of_no_size_is_refused(job: SmallJob, tmp_path: Path, width: JsonValue) -> None:
    rest = without(job, names.ROUTER_REF)
    other = job.artifacts.fetch(names.ROUTER_REF)
    rest.artifacts.publish(
        names.ROUTER_REF, Artifact(other.tensors, {**other.metadata, "width": width})
    )
    with pytest.raises(ContractError, match=r"router says width .*, not 1 to 8192"):
        evaluate.run(order(rest, tmp_path), rest.context("evaluate"))


def test_a_stop_ends_it_without_a_report(job: SmallJob, tmp_path: Path) -> None:
    rest = without(job, names.REPORT_REF)
    with pytest.raises(DisruptedError, match="told to stop"):
        evaluate.run(order(rest, tmp_path), rest.context("evaluate", MemoryStop(after_checks=3)))
    assert names.REPORT_REF not in rest.artifacts.bindings()


def test_a_conditioned_job_is_scored_with_the_labels_it_is_told(tmp_path: Path) -> None:
    settings = DiffusionTask(
        architecture=SMALL_DIFFUSION.diffusion.architecture,  # type: ignore[union-attr]
        conditioning="Class",
    )
    told = trained(tmp_path, Task(type="Diffusion", diffusion=settings))
    changes = {"baseline": False, "evaluation": Evaluation(samples=64, seeds=1, sampler_steps=3)}
    evaluate.run(order(told, tmp_path / "out", **changes), told.context("evaluate"))
    findings = json.loads((tmp_path / "out" / "report.json").read_text())["findings"]
    assert findings["verdict"]["outcome"] == "NoBaseline"
    assert findings["contract"]["conditioning"] == "Class"


class Halves:
    """A user's own task without noise: predict the lower half of an image from the upper."""

    def build_model(self, sample: SampleSpec) -> nn.Module:
        half = math.prod(sample.shape) // 2
        return nn.Linear(half, half)

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Inputs:  # noqa: ARG002
        time_B = torch.zeros(len(batch.x_BD))
        lower = batch.x_BD.flatten(1).chunk(2, dim=1)[1]
        return Inputs(batch.x_BD, lower, time_B, None)

    def predict(self, model: nn.Module, inputs: Inputs) -> torch.Tensor:
        answer: torch.Tensor = model(inputs.x_BD.flatten(1).chunk(2, dim=1)[0])
        return answer

    def losses(self, predicted_BD: torch.Tensor, inputs: Inputs) -> torch.Tensor:
        return (predicted_BD - inputs.target_BD).square().mean(dim=1)

    def contract(self) -> dict[str, str]:
        return {"task": "halves"}


def test_a_custom_task_is_compared_by_its_holdout_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("halves_task")
    module.Halves = Halves  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "halves_task", module)
    own = Task(type="Custom", custom=CustomTask(entrypoint="halves_task:Halves"))
    job = trained(tmp_path, own)
    evaluate.run(order(job, tmp_path / "out"), job.context("evaluate"))
    findings = json.loads((tmp_path / "out" / "report.json").read_text())["findings"]
    systems = {it["name"]: it for it in findings["systems"]}
    assert "sampling" not in findings
    assert systems["Full"]["holdoutLoss"] > 0
    assert systems["Full"]["meanActiveExperts"] == COUNT
    assert systems["TopK"]["meanActiveExperts"] == 1
    assert "holdout loss" in findings["verdict"]["sentence"]
    assert not (tmp_path / "out" / "samples.png").exists()
