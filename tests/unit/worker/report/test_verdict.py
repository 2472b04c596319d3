"""The sentence follows from the numbers, also when they are bad."""

from findings import island, system

from atoll_worker.report.verdict import judge


def test_a_clear_gain_is_told_with_its_numbers_and_its_price() -> None:
    full = system("Full", 0.4, parameters=400, flops_per_step=800.0)
    verdict = judge(full, system("Baseline", 0.8), [])
    assert verdict.outcome == "Better"
    assert "beats" in verdict.sentence
    assert "0.400 against 0.800 (-50 %)" in verdict.sentence
    assert any("400 parameters" in note and "4.0 times" in note for note in verdict.notes)


def test_a_loss_is_told_as_plainly() -> None:
    verdict = judge(system("Full", 0.9), system("Baseline", 0.8), [])
    assert verdict.outcome == "Worse"
    assert "does not beat" in verdict.sentence


def test_a_gap_within_three_standard_deviations_is_a_tie() -> None:
    verdict = judge(system("Full", 0.75), system("Baseline", 0.8), [])
    assert verdict.outcome == "Tie"
    assert "not clearly different" in verdict.sentence


def test_one_sampling_seed_proves_nothing() -> None:
    full, base = system("Full", 0.4), system("Baseline", 0.8)
    assert full.samples is not None
    once = full.samples.frechet_train.model_copy(update={"values": (0.4,), "sd": 0.0})
    single = full.samples.model_copy(update={"frechet_train": once})
    verdict = judge(full.model_copy(update={"samples": single}), base, [])
    assert verdict.outcome == "Tie"
    assert "set evaluation.seeds" in verdict.sentence


def test_a_gain_that_the_holdout_does_not_confirm_is_called_memory() -> None:
    verdict = judge(system("Full", 0.4, held=1.2), system("Baseline", 0.8, held=1.0), [])
    assert any("memory of the training samples" in note for note in verdict.notes)
    honest = judge(system("Full", 0.4, held=0.9), system("Baseline", 0.8, held=1.0), [])
    assert not any("memory" in note for note in honest.notes)


def test_a_holdout_loss_that_disagrees_is_mentioned() -> None:
    full, base = system("Full", 0.4, holdout_loss=0.6), system("Baseline", 0.8)
    assert any("holdout loss orders" in note for note in judge(full, base, []).notes)
    assert not any("orders" in n for n in judge(system("Full", 0.4), base, []).notes)


def test_islands_that_failed_their_gate_or_were_lost_are_named() -> None:
    islands = [island(0), island(1, gate_passed=False), island(2, present=False, gate_passed=None)]
    notes = " ".join(judge(system("Full", 0.4), None, islands).notes)
    assert "Island 1 did not beat its own initialisation" in notes
    assert "Island 2 was lost" in notes


def test_without_a_baseline_nothing_is_claimed() -> None:
    verdict = judge(system("Full", 0.4), None, [])
    assert verdict.outcome == "NoBaseline"
    assert "baseline.enabled: true" in verdict.sentence


def test_a_task_without_samples_is_judged_by_its_loss() -> None:
    verdict = judge(system("Full", holdout_loss=0.4), system("Baseline", holdout_loss=0.5), [])
    assert verdict.outcome == "Better"
    assert "holdout loss 0.4 against 0.5" in verdict.sentence
