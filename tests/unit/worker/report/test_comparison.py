"""Two runs side by side: every number in its place, and nothing compared that cannot be."""

from typing import Any

import pytest
from builders import job as built
from findings import findings, island, system

from atoll_api.spec import TrainingJob
from atoll_api.status import ArtifactStatus, TrainingJobStatus
from atoll_worker.report.comparison import Comparison, Pair, RunSide, compare, differences
from atoll_worker.report.comparison_page import comparison_page
from atoll_worker.report.curves import mean_curve
from atoll_worker.report.document import (
    Findings,
    Mergeability,
    MergingFacts,
    Report,
    RunFacts,
    metrics,
)


def side(title: str, of: Findings, **changes: Any) -> RunSide:
    run = RunFacts(job=title, uid="0", bytes_between_islands=changes.pop("between", None))
    return RunSide(title, Report(metrics=metrics(of), findings=of, run=run), **changes)


def found(a: RunSide, b: RunSide) -> dict[tuple[str, str], Pair]:
    said = compare(a, b)
    return {(it.name, it.of): it for it in (*said.metrics, *said.islands, *said.run)}


def better(**changes: Any) -> Findings:
    return findings(systems=(system("Baseline", 0.8), system("Full", 0.3)), **changes)


def wrote(*refs: tuple[str, str], **changes: Any) -> TrainingJobStatus:
    artifacts = tuple(ArtifactStatus(name=ref, digest=it, size_bytes=1) for ref, it in refs)
    return TrainingJobStatus(artifacts=artifacts, **changes)


def test_numbers_their_difference_and_who_is_better() -> None:
    pair = found(side("a", findings()), side("b", better()))["FrechetTrain", "Full"]
    assert (pair.a, pair.b, pair.better) == (0.4, 0.3, "B")
    assert pair.difference == pytest.approx(-0.1)
    equal = found(side("a", findings()), side("b", better()))["HoldoutLoss", "Full"]
    assert (equal.difference, equal.better) == (0, None)


def test_more_is_better_only_where_that_is_known() -> None:
    def of(accuracy: float, mine: float) -> Findings:
        measures = {"accuracy": accuracy, "mine": mine}
        return findings(systems=(system("Full", measures=measures),), sampling=None)

    said = found(side("a", of(0.9, 1.0)), side("b", of(0.8, 2.0)))
    assert said["Accuracy", "Full"].better == "A"
    assert said["Mine", "Full"].better is None


def test_a_system_that_one_has_alone_is_shown_and_not_compared() -> None:
    alone = findings(systems=(*findings().systems, system("TopK", 0.5)))
    pair = found(side("a", alone), side("b", findings()))["HoldoutLoss", "TopK"]
    assert (pair.a, pair.b, pair.difference, pair.better) == (0.5, None, None, None)


def test_what_both_chose_is_compared_whatever_it_is_called() -> None:
    merged = findings(systems=(system("Merged", 0.5),), combine="Merged", router=None)
    said = compare(side("a", findings()), side("b", merged))
    first = said.metrics[0]
    assert (first.of, first.a, first.b) == ("Full, Merged", 0.5, 0.5)
    assert said.metrics[1].b == 0.5


def test_distances_of_other_samples_make_nobody_better() -> None:
    sampling = findings().sampling
    assert sampling is not None
    fewer = better(sampling=sampling.model_copy(update={"samples": 10}))
    said = compare(side("a", findings()), side("b", fewer))
    assert any("Frechet distances cannot be compared" in note for note in said.notes)
    assert all(it.better is None for it in said.metrics if it.name.startswith("Frechet"))


def test_other_data_make_nobody_better() -> None:
    data = findings().data.model_copy(update={"digest": "blake3:other"})
    islands = (island(0, final_holdout_loss=0.1),)
    said = compare(side("a", findings()), side("b", better(data=data, islands=islands)))
    assert any("The data differ" in note for note in said.notes)
    assert all(it.better is None for it in (*said.metrics, *said.islands))


def test_islands_of_another_division_are_not_judged() -> None:
    partition = findings().partition.model_copy(update={"assignment_hash": "blake3:x"})
    islands = (island(0, final_holdout_loss=0.1), island(1))
    said = compare(side("a", findings()), side("b", findings(partition=partition, islands=islands)))
    assert any("divided otherwise" in note for note in said.notes)
    assert said.islands[0].difference == pytest.approx(-0.6)
    assert said.islands[0].better is None


def job(**changes: Any) -> TrainingJob:
    return built(4, **changes)


def test_every_field_that_differs_is_named() -> None:
    told = {it.path: (it.a, it.b) for it in differences(job(), job(**{"training.steps": 7}))}
    assert list(told) == ["spec.training.steps"]
    assert told["spec.training.steps"][1] == "7"
    assert list(differences(job(), job())) == []


def test_a_list_that_is_longer_is_told_by_its_places() -> None:
    one = job(evaluation={"strategies": ["Full"]})
    two = job(evaluation={"strategies": ["Full", "TopK"]})
    said = list(differences(one, two))
    assert [(it.path, it.a, it.b) for it in said] == [
        ("spec.evaluation.strategies[1]", None, "TopK")
    ]


def test_artifacts_by_digest() -> None:
    a = side("a", findings(), status=wrote(("router", "blake3:1"), ("report", "blake3:2")))
    b = side("b", findings(), status=wrote(("router", "blake3:1"), ("merged", "blake3:3")))
    said = {it.ref: it.relation for it in compare(a, b).artifacts}
    assert said == {
        "experts/0": "Equal",
        "router": "Equal",
        "report": "OnlyA",
        "merged": "OnlyB",
    }
    other = side("b", findings(parents={"experts/0": "blake3:99"}))
    assert compare(a, other).count("Different") == 1


def test_what_it_took() -> None:
    times = {"start_time": "2026-01-31T12:00:00Z", "completion_time": "2026-01-31T12:01:00Z"}
    a = side("a", findings(), status=wrote(**times), between=10)
    b = side("b", findings(), status=wrote(start_time=times["start_time"]), between=5)
    said = found(a, b)
    assert (said["Seconds", "job"].a, said["Seconds", "job"].b) == (60, None)
    assert said["BytesBetweenIslands", "job"].difference == -5


def test_a_report_alone_is_compared_as_far_as_it_goes() -> None:
    said = compare(side("a", findings(), job=job()), side("b", findings()))
    assert said.configuration == ()
    assert any("b holds a report alone" in note for note in said.notes)
    assert "Both have the same findings, to the last digit." in said.notes


def merging(gap: float) -> MergingFacts:
    points = tuple(
        Mergeability(
            step=step,
            islands=2,
            local={"loss": 1.0},
            merged={"loss": 1 + gap},
            gap=gap,
            consensus_distance=0.1,
        )
        for step in (10, 20)
    )
    return MergingFacts(
        strategy="IterativeMerge",
        graph="Ring",
        rounds=2,
        weights="Uniform",
        reestimated=False,
        mergeability=points,
        islands=(),
    )


def page_of(a: RunSide, b: RunSide) -> str:
    return comparison_page(compare(a, b), a, b)


def test_the_page_shows_both_and_needs_nothing_from_outside() -> None:
    a = side("runs/one", findings(), job=job())
    b = side("<b>two</b>", better(), job=job(**{"training.steps": 7}))
    html = page_of(a, b)
    assert html.index("What came of it") < html.index("Configuration") < html.index("Artifacts")
    assert "&lt;b&gt;two&lt;/b&gt;" in html
    assert "<b>two</b>" not in html
    assert html.count("<svg") == 1 + 2
    assert "http://" not in html.replace('xmlns="http://www.w3.org', "").replace(
        'xlink="http://www.w3.org', ""
    )
    assert "<script" not in html


def test_gaps_are_drawn_where_either_merges() -> None:
    merges = side("b", findings(merging=merging(-0.1)))
    assert "Gap: loss" in page_of(side("a", findings()), merges)
    assert "Gap: loss" not in page_of(side("a", findings()), side("b", findings()))


def test_islands_without_curves_have_a_page() -> None:
    lost = findings(islands=(island(0, present=False, loss_curve=(), final_holdout_loss=None),))
    html = page_of(side("a", lost), side("b", lost))
    assert "What came of it" in html
    assert "Loss on the holdout at the end" not in html


def test_the_comparison_survives_json() -> None:
    said = compare(side("a", findings(), job=job()), side("b", better(), job=job()))
    assert Comparison.from_document(said.to_document()) == said


def test_a_mean_curve_goes_as_far_as_all_go() -> None:
    long = island(0, loss_curve=((0.0, 4.0), (10.0, 2.0), (20.0, 1.0)))
    short = island(1, loss_curve=((0.0, 2.0), (10.0, 1.0)))
    assert mean_curve([long, short]) == ([0.0, 10.0], [3.0, 1.5])
