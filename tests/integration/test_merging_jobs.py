"""Whole jobs that merge, in one process: what they bind, say and report. Their faults are tested
over real processes, in test_merging_faults.py."""

from typing import Any

import pytest
import torch
from jobs import Finished, document, role, run_job

from atoll_api import names
from atoll_api.names import Ref
from atoll_api.ordering import Place, work_order
from atoll_api.spec import TrainingJob
from atoll_api.work_order import JobIdentity
from atoll_operator.plan.pipeline import pipeline
from atoll_worker.errors import ContractError, DisruptedError
from atoll_worker.exchange.memory import MemoryCircle, MemoryProgress, MemoryStop
from atoll_worker.ports import Artifact, Context

NO_NORM = {"architecture": {"type": "MLP", "mlp": {"width": 16}}, "normalization": "None"}
BATCH_NORM = {**NO_NORM, "normalization": "BatchNorm"}


def described(
    strategy: dict[str, Any], *, norm: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    fields = {
        "task": {"type": "Classification", "classification": norm or NO_NORM},
        "data": {"source": "builtin://digits"},
        "islands": {"count": 3},
        "training": {"steps": 60, "batchSizePerIsland": 16},
        "strategy": strategy,
        **spec,
    }
    return document("small", **fields)


def run(strategy: dict[str, Any], **spec: Any) -> Finished:
    return run_job(described(strategy, **spec))


def run_again(
    job: Finished, described: dict[str, Any], name: str, stop: MemoryStop | None = None
) -> None:
    """One step of a job once more, as after a restart."""
    spec = TrainingJob.from_document(described).spec
    step = next(it for it in pipeline(spec) if it.name == name)
    identity = JobIdentity(name="small", uid="0")
    order = work_order(identity, spec, step.process("0"), Place("127.0.0.1:1", ""))
    with MemoryCircle(job.artifacts).working() as around:
        context = Context(
            job.artifacts,
            MemoryProgress(name),
            stop or MemoryStop(),
            neighbourhood=around,
            onlooker=around,
        )
        role(step.role)(order, context)


def iterative(**settings: Any) -> dict[str, Any]:
    chosen = {"topology": {"type": "FullyConnected"}, "stepsPerRound": 20, **settings}
    return {"type": "IterativeMerge", "iterativeMerge": chosen}


def single(rate: float = 0.5, **settings: Any) -> dict[str, Any]:
    gossip = {"peersPerRound": rate, "stepsPerRound": 5}
    return {"type": "SingleMerge", "singleMerge": {"gossip": gossip, **settings}}


def weights(job: Finished, ref: str) -> dict[str, torch.Tensor]:
    return dict(job.artifacts.fetch(Ref(ref)).tensors)


def digest(job: Finished, ref: str) -> str:
    return job.artifacts.bindings()[Ref(ref)].digest


def test_on_a_full_graph_all_islands_end_with_the_model_that_is_published() -> None:
    job = run(iterative(evaluations=1))
    for island in range(3):
        for name, tensor in weights(job, names.final_ref(island)).items():
            torch.testing.assert_close(tensor, weights(job, names.MERGED_REF)[name])
    assert [ref for ref in job.artifacts.bindings() if "/rounds/" in ref] == []
    merging = job.findings["merging"]
    assert (merging["rounds"], merging["spectralGap"]) == (3, pytest.approx(1.0))
    assert [point["step"] for point in merging["mergeability"]] == [40, 60]
    assert merging["mergeability"][0]["local"].keys() == {"loss", "accuracy"}
    assert [it["snapshots"] for it in merging["islands"]] == [6, 6, 6]
    assert {system["name"] for system in job.findings["systems"]} == {"Merged", "AllIslands"}


@pytest.mark.parametrize("encoding", ["Raw", "BFloat16", "Int8", "Delta"])
def test_a_job_says_the_same_each_time_however_weights_travel(encoding: str) -> None:
    first, again = (run(iterative(), exchange={"encoding": encoding}) for _ in range(2))
    for ref in (names.MERGED_REF, names.final_ref(1), names.record_ref(2, 1)):
        assert digest(first, ref) == digest(again, ref)
    assert first.artifacts.fetch(names.MERGED_REF).encoding == encoding


def test_rounded_weights_do_not_keep_an_island_from_learning() -> None:
    """At this rate a round moves most weights by less than half a step of Int8."""
    slow = {"steps": 400, "batchSizePerIsland": 32, "optimizer": {"learningRate": 3e-4}}
    raw, rounded = (
        run(
            iterative(stepsPerRound=1, optimizerState="Keep"),
            training=slow,
            exchange={"encoding": encoding},
        )
        for encoding in ("Raw", "Int8")
    )
    before = raw.findings["islands"][0]["initialHoldoutLoss"]
    learned, kept = (before - job.system("Merged")["holdoutLoss"] for job in (raw, rounded))
    assert learned > 0.2
    assert kept > 0.9 * learned


def test_norm_statistics_of_the_merged_model_are_those_that_islands_measured() -> None:
    job = run(single(), norm=BATCH_NORM)
    merged, mean = (weights(job, ref) for ref in (names.MERGED_REF, names.MEAN_REF))
    measured = [weights(job, names.statistics_ref(island)) for island in range(3)]
    for name, tensor in merged.items():
        expected = mean[name]
        if name in measured[0] and tensor.is_floating_point():
            expected = torch.stack([it[name] for it in measured]).mean(dim=0)
            assert not torch.equal(expected, mean[name])
        torch.testing.assert_close(tensor, expected)
    assert job.findings["merging"]["reestimated"] is True


def test_statistics_can_be_averaged_instead() -> None:
    job = run(single(finalMerge={"normStatistics": "Average"}), norm=BATCH_NORM)
    assert names.MEAN_REF not in job.artifacts.bindings()
    finals = [weights(job, names.final_ref(island)) for island in range(3)]
    for name, tensor in weights(job, names.MERGED_REF).items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, torch.stack([it[name] for it in finals]).mean(dim=0))


def test_islands_may_count_by_their_samples() -> None:
    final = {"weights": "BySamples", "normStatistics": "Average"}
    shares = {"type": "Dirichlet", "dirichlet": {"alpha": 0.3}}
    job = run(single(0.0, finalMerge=final), partition=shares)
    sizes = torch.tensor(job.findings["partition"]["sizes"], dtype=torch.float32)
    assert len(set(sizes.tolist())) > 1
    finals = [weights(job, names.final_ref(island)) for island in range(3)]
    for name, tensor in weights(job, names.MERGED_REF).items():
        stacked = torch.stack([it[name] for it in finals], dim=-1)
        torch.testing.assert_close(tensor, (stacked * sizes).sum(dim=-1) / sizes.sum())


def test_without_gossip_nothing_passes_between_islands() -> None:
    job = run(single(0.0, evaluations=0))
    assert all(it["merges"] == 0 for it in job.findings["merging"]["islands"])
    assert [ref for ref in job.artifacts.bindings() if "/merges/" in ref] == []


def test_islands_that_began_apart_end_in_one_basis() -> None:
    apart = {"initialization": "Independent", "stepsPerRound": 60}
    aligned = run(iterative(**apart), training={"steps": 300, "batchSizePerIsland": 32})
    plain = run(
        iterative(**apart, align={"when": "Never"}),
        training={"steps": 300, "batchSizePerIsland": 32},
    )
    one, other = (job.findings["merging"]["mergeability"][-1] for job in (aligned, plain))
    assert one["merged"]["loss"] < other["merged"]["loss"]


def test_islands_that_keep_their_own_order_are_merged_in_one() -> None:
    job = run(
        iterative(initialization="Independent", stepsPerRound=100, align={"when": "EveryRound"}),
        training={"steps": 200, "batchSizePerIsland": 32},
    )
    last = job.findings["merging"]["mergeability"][-1]
    assert last["merged"]["accuracy"] > last["local"]["accuracy"] - 0.1


def test_repair_changes_what_an_aligned_merge_goes_on_from() -> None:
    apart = {"initialization": "Independent", "stepsPerRound": 60}
    mended, plain = (
        run(
            iterative(**apart, align={"repair": it}),
            training={"steps": 60, "batchSizePerIsland": 16},
        )
        for it in (True, False)
    )
    assert digest(mended, names.MERGED_REF) != digest(plain, names.MERGED_REF)
    assert mended.findings["merging"]["mergeability"][-1]["gap"] == pytest.approx(0.0, abs=1e-6)


def test_diloco_moves_all_islands_alike() -> None:
    job = run(iterative(mix={"type": "OuterNesterov"}, optimizerState="Keep"))
    assert digest_of_weights(job, 0) == digest_of_weights(job, 1) == digest_of_weights(job, 2)


def digest_of_weights(job: Finished, island: int) -> list[float]:
    return [float(it.double().sum()) for it in weights(job, names.final_ref(island)).values()]


def test_an_island_that_was_killed_after_its_last_weights_still_measures_the_mean() -> None:
    job = run(single(), norm=BATCH_NORM)
    measured = digest(job, names.statistics_ref(1))
    job.artifacts.drop([names.statistics_ref(1)])
    run_again(job, described(single(), norm=BATCH_NORM), "island-1")
    assert digest(job, names.statistics_ref(1)) == measured


def test_statistics_can_put_no_weights_into_the_merged_model() -> None:
    job = run(single(), norm=BATCH_NORM)
    forged = {name: torch.zeros_like(it) for name, it in weights(job, names.MERGED_REF).items()}
    job.artifacts.drop([names.MERGED_REF, *(names.statistics_ref(i) for i in range(3))])
    for island in range(3):
        job.artifacts.publish(names.statistics_ref(island), Artifact(forged))
    with pytest.raises(ContractError, match="islands/0/statistics do not fit"):
        run_again(job, described(single(), norm=BATCH_NORM), "merge")


@pytest.mark.parametrize(
    ("quorum", "islands"), [(2, [0, 2]), (3, [])], ids=["enough are left", "too few are left"]
)
def test_last_weights_that_would_spoil_the_mean_are_left_out(
    quorum: int, islands: list[int]
) -> None:
    job = run(single(evaluations=0))
    final = job.artifacts.fetch(names.final_ref(1))
    spoilt = {name: torch.full_like(it, torch.nan) for name, it in final.tensors.items()}
    job.artifacts.drop([names.MERGED_REF, names.final_ref(1)])
    job.artifacts.publish(names.final_ref(1), Artifact(spoilt, final.metadata))
    fields = described(single(evaluations=0), islands={"count": 3, "quorum": quorum})
    if islands:
        run_again(job, fields, "merge")
        assert job.artifacts.fetch(names.MERGED_REF).metadata["islands"] == islands
        return
    with pytest.raises(ContractError, match=r"weights of 2 of 3 islands.*NaN or infinite"):
        run_again(job, fields, "merge")


@pytest.mark.parametrize("gone", [[1], [1, 2]], ids=["one", "more than the quorum can miss"])
def test_weights_that_were_merged_and_are_gone_are_told_of(gone: list[int]) -> None:
    fields = described(single(evaluations=0), islands={"count": 3, "quorum": 2})
    job = run_job(fields)
    job.artifacts.drop([*map(names.final_ref, gone), names.REPORT_REF])
    with pytest.raises(ContractError, match=r"islands/1/final was merged and is gone.*a new job"):
        run_again(job, fields, "evaluate")


def test_a_snapshot_that_its_island_let_go_is_left_out_of_a_measurement() -> None:
    strategy = iterative(evaluations=1)
    job = run(strategy)
    number = next(iter(job.artifacts.bindings("mergeability/")))
    job.artifacts.drop([names.MERGED_REF, number])
    for island in range(3):
        job.artifacts.publish(names.snapshot_ref(island, 1), Artifact({}))
    run_again(job, described(strategy), "merge")
    assert "gap" not in job.artifacts.fetch(number).metadata
    assert names.MERGED_REF in job.artifacts.bindings()


def test_whoever_finishes_early_waits_for_the_mean_of_all() -> None:
    strategy = single(0.0, evaluations=0, roundDeadlineSeconds=0.01)
    job = run(strategy, norm=BATCH_NORM)
    job.artifacts.drop([names.MEAN_REF, names.statistics_ref(1)])
    with pytest.raises(DisruptedError):
        run_again(job, described(strategy, norm=BATCH_NORM), "island-1", MemoryStop(3))
    assert names.statistics_ref(1) not in job.artifacts.bindings(), "it measured nothing"
