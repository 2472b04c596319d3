"""A job of text through all its roles: seed, experts on clusters, routing, report."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import job_document
from texts import CONTEXT, PREFIX, TOPICS, TextJob, ensemble, text_document, write_corpus

from atoll_api import names
from atoll_api.work_order import EvaluateOrder
from atoll_worker.ensemble import combine
from atoll_worker.errors import ContractError, RejectedError
from atoll_worker.evaluate.holdout import Holdout
from atoll_worker.evaluate.loading import load_job
from atoll_worker.evaluate.systems import Asked
from atoll_worker.evaluate.text import Reading, TextAnswer, TextEnsemble
from atoll_worker.evaluate.text_candidates import text_ensemble
from atoll_worker.ports import Artifact
from atoll_worker.tasks.base import Inputs

TEXT_SYSTEMS = ["Baseline", "Full", "TopK", "Threshold", "Sticky", "Oracle", "Uniform", "Average"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def job(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> TextJob:
    found = TextJob.of(text_document(corpus), tmp_path_factory.mktemp("report"))
    found.run()
    return found


def findings(job: TextJob) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((job.report_folder / "report.json").read_text())["findings"]
    return found


def again(job: TextJob, folder: Path, **changes: Any) -> TextJob:
    """The same experts, evaluated as another job would."""
    source = job.spec.data.source.removeprefix("file://")
    other = TextJob.of(text_document(Path(source), **changes), folder)
    for ref in job.artifacts.bindings():
        if ref != names.REPORT_REF:
            other.artifacts.publish(ref, job.artifacts.fetch(ref))
    return other


def ensemble_of(job: TextJob) -> tuple[TextEnsemble, Holdout]:
    order = job.order("evaluate")
    assert isinstance(order, EvaluateOrder)
    loaded = load_job(order, job.artifacts)
    holdout = Holdout(loaded.task, loaded.dataset, loaded.assignment, 0, prefix=PREFIX)
    return text_ensemble(loaded, order), holdout


def test_every_system_is_scored_in_bits_per_byte(job: TextJob) -> None:
    found = findings(job)
    systems = {it["name"]: it for it in found["systems"]}
    assert list(systems) == TEXT_SYSTEMS
    for system in systems.values():
        bits = system["measures"]["bitsPerByte"]
        assert bits == pytest.approx(system["holdoutLoss"] / 0.693147, rel=1e-5)
        assert 0 < bits < 8
    assert "router" not in found
    assert systems["Full"]["meanActiveExperts"] == 2
    assert systems["TopK"]["meanActiveExperts"] == 1
    metrics = json.loads((job.report_folder / "report.json").read_text())["metrics"]
    assert {it["name"] for it in metrics} == {"HoldoutLoss", "BitsPerByte"}
    assert "bits per byte" in found["verdict"]["sentence"]


def test_the_parts_are_the_topics_and_a_prefix_names_them(job: TextJob) -> None:
    text = findings(job)["text"]
    assert text["agreement"] > 0.9
    upper = [all(it.upper() == it for it in examples) for examples in text["examples"]]
    assert sorted(upper) == [False, True]
    written = {it["system"] for it in text["continuations"]}
    assert written == {"Full", "Baseline"}
    assert all(len(it["prompt"].encode()) == PREFIX for it in text["continuations"])


def test_the_page_shows_texts_and_no_router(job: TextJob) -> None:
    html = (job.report_folder / "report.html").read_text()
    assert html.rstrip().endswith("</html>")
    assert "bits per byte" in html
    assert "Continued texts" in html
    assert any(word in html for word in TOPICS[0])
    assert "calibration error" not in html
    assert sorted(it.name for it in job.report_folder.iterdir()) == ["report.html", "report.json"]


def test_experts_and_baseline_go_on_from_the_seed(job: TextJob) -> None:
    bound = job.artifacts.bindings()
    seed = bound[names.SEED_REF].digest
    for ref in (names.expert_ref(0), names.expert_ref(1), names.BASELINE_REF):
        assert seed in bound[ref].parents
        said = job.artifacts.fetch(ref).metadata
        assert said["gatePassed"] is True
    said = job.artifacts.fetch(names.SEED_REF).metadata
    assert (said["step"], said["samplesSeen"], said["island"]) == (10, 10 * 32, None)
    first = job.artifacts.fetch(names.BASELINE_REF).metadata["initialHoldoutLoss"]
    assert first == said["finalHoldoutLoss"]


def test_seed_and_baseline_do_not_learn_from_the_same_batches(job: TextJob) -> None:
    curves = [
        job.artifacts.fetch(ref).metadata["lossCurve"]
        for ref in (names.SEED_REF, names.BASELINE_REF)
    ]
    assert curves[0] != curves[1][: len(curves[0])]  # type: ignore[index, arg-type]


def test_all_of_it_repeats_itself_bit_for_bit(job: TextJob, corpus: Path, tmp_path: Path) -> None:
    second = TextJob.of(text_document(corpus), tmp_path)
    second.run()
    first = {ref: it.digest for ref, it in job.artifacts.bindings().items()}
    assert {ref: it.digest for ref, it in second.artifacts.bindings().items()} == first


def test_a_delta_is_taken_against_the_seed(corpus: Path, tmp_path: Path) -> None:
    job = TextJob.of(text_document(corpus, exchange={"encoding": "Delta"}), tmp_path)
    job.run()
    assert names.INIT_REF not in job.artifacts.bindings()
    expert = job.artifacts.fetch(names.expert_ref(0))
    assert expert.base is not None
    assert expert.base.ref == names.SEED_REF
    assert job.artifacts.fetch(names.SEED_REF).encoding == "Raw"
    assert findings(job)["islands"][0]["encoding"] == "Delta"


def test_without_a_seed_there_is_none(corpus: Path, tmp_path: Path) -> None:
    document = text_document(
        corpus, strategy={"type": "ExpertEnsemble", "expertEnsemble": ensemble(seed_steps=0)}
    )
    job = TextJob.of(document, tmp_path)
    assert "seed" not in job.names()
    job.run("partition", "island-0")
    assert names.SEED_REF not in job.artifacts.bindings()
    assert len(job.artifacts.bindings()[names.expert_ref(0)].parents) == 1


def test_a_seed_that_is_missing_or_of_another_model_is_named(job: TextJob, tmp_path: Path) -> None:
    rest = TextJob(job.spec, tmp_path)
    rest.run("partition")
    with pytest.raises(RejectedError, match="seed"):
        rest.run("island-0")
    rest.artifacts.publish(names.SEED_REF, Artifact({"token.weight": torch.zeros(3)}))
    with pytest.raises(ContractError, match="the weights of seed do not fit"):
        rest.run("island-0")


@pytest.mark.parametrize("running", [True, False])
def test_experts_can_be_routed_by_likelihood(
    job: TextJob, tmp_path: Path, *, running: bool
) -> None:
    strategy = {"type": "ExpertEnsemble", "expertEnsemble": ensemble("Likelihood", running=running)}
    other = again(job, tmp_path, strategy=strategy)
    other.run("evaluate")
    systems = {it["name"]: it for it in findings(other)["systems"]}
    same = {it["name"]: it for it in findings(job)["systems"]}
    assert systems["Uniform"] == same["Uniform"]
    assert systems["TopK"]["meanActiveExperts"] == 2  # all have read the prefix
    assert systems["Full"]["holdoutLoss"] < systems["Uniform"]["holdoutLoss"]
    assert names.CLUSTERS_REF not in findings(other)["parents"]


def test_random_parts_of_text_need_no_clusters(corpus: Path, tmp_path: Path) -> None:
    strategy = {"type": "ExpertEnsemble", "expertEnsemble": ensemble("Likelihood")}
    document = text_document(corpus, partition={"type": "Random"}, strategy=strategy)
    job = TextJob.of(document, tmp_path)
    job.run()
    assert names.CLUSTERS_REF not in job.artifacts.bindings()
    assert "principal component" not in (tmp_path / "report.html").read_text()


def test_a_lost_island_leaves_the_rest_and_is_told(job: TextJob, tmp_path: Path) -> None:
    rest = again(job, tmp_path, islands={"count": 2, "quorum": 1})
    rest.artifacts.drop([names.expert_ref(1)])
    rest.run("evaluate")
    found = findings(rest)
    full = next(it for it in found["systems"] if it["name"] == "Full")
    alone = next(it for it in found["systems"] if it["name"] == "Average")
    assert full["meanActiveExperts"] == 1
    assert full["holdoutLoss"] == pytest.approx(alone["holdoutLoss"], rel=1e-6)
    assert any("Island 1 was lost" in note for note in found["verdict"]["notes"])


def test_what_is_scored_does_not_route(job: TextJob) -> None:
    of, holdout = ensemble_of(job)
    inputs, _ = holdout.chunks[0]
    changed = inputs.x_BD.clone()
    changed[:, PREFIX:] = torch.arange(CONTEXT - PREFIX, dtype=torch.uint8) + 40
    nothing = inputs.target_BD[None]
    before = of.weigh(inputs.x_BD, nothing, PREFIX)
    assert torch.equal(of.weigh(changed, nothing, PREFIX), before)
    changed[:, 0] = 90
    assert not torch.equal(of.weigh(changed, nothing, PREFIX), before)


def test_what_a_router_saw_is_not_scored(job: TextJob) -> None:
    _, holdout = ensemble_of(job)

    def sure_of_the_prefix(inputs: Inputs, _: Asked) -> torch.Tensor:
        answer = torch.full_like(inputs.target_BD, 0.5)
        answer[:, : PREFIX - 1] = 1e-9
        return answer

    judged = holdout.judge(sure_of_the_prefix)
    assert judged.measures["bitsPerByte"].tolist() == pytest.approx([1.0] * len(judged.losses_N))


def test_a_running_posterior_uses_only_what_has_been_read(job: TextJob, tmp_path: Path) -> None:
    strategy = {"type": "ExpertEnsemble", "expertEnsemble": ensemble("Likelihood")}
    of, holdout = ensemble_of(again(job, tmp_path, strategy=strategy))
    inputs, asked = holdout.chunks[0]
    changed = inputs.x_BD.clone()
    changed[:, 20] = 90
    with torch.inference_mode():
        first, second = (
            TextAnswer(of, Reading(of), combine.Full(), 0)(it, asked)
            for it in (inputs, Inputs(changed, inputs.target_BD, inputs.time_B, None))
        )
    assert torch.equal(first[:, :19], second[:, :19])
    assert not torch.equal(first[:, 19], second[:, 19])


def test_clusters_of_another_division_are_refused(job: TextJob, tmp_path: Path) -> None:
    rest = again(job, tmp_path)
    rest.artifacts.drop([names.CLUSTERS_REF])
    other = job.artifacts.fetch(names.CLUSTERS_REF)
    said = {**other.metadata, "assignmentHash": "blake3:00"}
    rest.artifacts.publish(names.CLUSTERS_REF, Artifact(other.tensors, said))
    with pytest.raises(ContractError, match="clusters was trained on the division blake3:00"):
        rest.run("evaluate")


def test_experts_of_diffusion_can_go_on_from_a_seed_too(tmp_path: Path) -> None:
    learned = {"type": "Learned", "learned": {"steps": 10, "batchSize": 16, "width": 8}}
    spec = {
        "islands.count": 2,
        "task.diffusion": {"architecture": {"type": "MLP", "mlp": {"width": 8, "depth": 1}}},
        "training": {"steps": 10, "batchSizePerIsland": 16},
        "strategy.expertEnsemble": {"seedSteps": 5, "router": learned},
        "evaluation": {"samples": 32, "seeds": 1, "samplerSteps": 2, "strategies": ["Full"]},
    }
    job = TextJob.of(job_document(**spec), tmp_path)
    job.run()
    seed = job.artifacts.bindings()[names.SEED_REF].digest
    assert seed in job.artifacts.bindings()[names.expert_ref(1)].parents
    assert findings(job)["router"]["bins"]
