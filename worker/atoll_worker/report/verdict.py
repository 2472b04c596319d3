"""What the numbers mean, in plain words. Pure: the same numbers, the same sentence."""

from collections.abc import Iterator, Sequence

from atoll_worker.report.document import (
    MergingFacts,
    SampleScores,
    SystemScores,
    TrainedModel,
    Verdict,
)

_MERGED = "Merged"
_OTHER = "one model of an expert's size trained with the same FLOPs"
_REWEIGHED = "the others are weighed as if its part of the data did not exist."
CLEAR_GAP_SD = 3.0
"""A difference counts from this many standard deviations of sampling on."""


def judge(
    chosen: SystemScores,
    baseline: SystemScores | None,
    islands: Sequence[TrainedModel],
    systems: Sequence[SystemScores] = (),
    merging: MergingFacts | None = None,
    *,
    own_data: bool = False,
) -> Verdict:
    """Compare the strategy that the job chose with the baseline; notes speak of all `systems`.

    With `own_data` of the islands there can be no baseline.
    """
    notes = [*_island_notes(islands, merged=merging is not None), *_merging_notes(merging)]
    if baseline is None:
        return Verdict(
            outcome="NoBaseline",
            sentence=_without_baseline(chosen, own_data=own_data),
            notes=tuple(notes),
        )
    if chosen.samples is None or baseline.samples is None:
        return _by_loss(chosen, baseline, systems, notes)
    return _by_samples(chosen, baseline, notes)


def _without_baseline(chosen: SystemScores, *, own_data: bool) -> str:
    numbers = f"{_alone(chosen)} stands alone: {_own_numbers(chosen)}."
    if own_data:
        return f"Nobody has the data of all islands to train a baseline on, so {numbers}"
    return f"No baseline was trained, so {numbers} Set baseline.enabled: true to compare."


def _by_samples(chosen: SystemScores, baseline: SystemScores, notes: list[str]) -> Verdict:
    assert chosen.samples is not None
    assert baseline.samples is not None
    ours, theirs = chosen.samples.frechet_train, baseline.samples.frechet_train
    gap, noise = theirs.mean - ours.mean, max(ours.sd, theirs.sd)
    told = (
        f"Frechet distance {ours.mean:.3f} against {theirs.mean:.3f} "
        f"({100 * (ours.mean / max(theirs.mean, 1e-12) - 1):+.0f} %)"
    )
    notes += _sample_notes(chosen, baseline, gap)
    alone = len(ours.values) < 2
    if alone or abs(gap) < CLEAR_GAP_SD * noise:
        why = (
            "with one sampling seed nobody can tell: set evaluation.seeds"
            if alone
            else f"within {CLEAR_GAP_SD:.0f} standard deviations of sampling"
        )
        sentence = f"{_subject(chosen)} and {_OTHER} are not clearly different: {told}, {why}."
        return Verdict(outcome="Tie", sentence=sentence, notes=tuple(notes))
    verb = "beats" if gap > 0 else "does not beat"
    sentence = f"{_subject(chosen)} {verb} {_OTHER}: {told}."
    return Verdict(outcome="Better" if gap > 0 else "Worse", sentence=sentence, notes=tuple(notes))


def _by_loss(
    chosen: SystemScores,
    baseline: SystemScores,
    systems: Sequence[SystemScores],
    notes: list[str],
) -> Verdict:
    ours, theirs = chosen.holdout_loss, baseline.holdout_loss
    better = ours < theirs
    verb = "beats" if better else "does not beat"
    told = f"{_told(chosen)} against {_score(baseline)}"
    sentence = f"{_subject(chosen)} {verb} {_OTHER}: {told}."
    notes += _control_notes(chosen, systems)
    return Verdict(outcome="Better" if better else "Worse", sentence=sentence, notes=tuple(notes))


def _sample_notes(chosen: SystemScores, baseline: SystemScores, gap: float) -> list[str]:
    assert chosen.samples is not None
    assert baseline.samples is not None
    cost = (
        f"Equal training FLOPs are not equal size: the ensemble holds {chosen.parameters:,} "
        f"parameters, the baseline {baseline.parameters:,}, and one step of sampling costs "
        f"{chosen.flops_per_step / max(baseline.flops_per_step, 1):.1f} times the FLOPs."
    )
    notes = [cost]
    held = baseline.samples.frechet_holdout.mean - chosen.samples.frechet_holdout.mean
    if gap > 0 and held < 0:
        notes.append(
            "Against samples that nobody trained on the order is the other way round "
            f"({_held(chosen.samples)} against {_held(baseline.samples)}): some of the gain is "
            "memory of the training samples."
        )
    if (chosen.holdout_loss - baseline.holdout_loss) * gap > 0:
        notes.append(
            "The holdout loss orders the two the other way round "
            f"({chosen.holdout_loss:.4f} against {baseline.holdout_loss:.4f}): loss and sample "
            "quality are different questions."
        )
    return notes


def _subject(chosen: SystemScores) -> str:
    return "The merged model" if chosen.name == _MERGED else f"The ensemble ({chosen.name})"


def _alone(chosen: SystemScores) -> str:
    return "the merged model" if chosen.name == _MERGED else chosen.name


def _merging_notes(merging: MergingFacts | None) -> Iterator[str]:
    if merging is None or not merging.mergeability:
        return
    last = merging.mergeability[-1]
    verb = "less" if last.gap <= 0 else "more"
    yield (
        f"The islands alone come to a loss of {last.local['loss']:.4g} on average, the mean of "
        f"their weights to {last.merged['loss']:.4g}: {abs(last.gap):.2g} {verb}."
    )
    missed = sum(bool(it.notes) for it in merging.islands)
    if missed:
        yield (
            f"{missed} of {len(merging.islands)} islands went through rounds without a neighbour: "
            "the weight of whoever was missing stayed with the island."
        )


def _island_notes(islands: Sequence[TrainedModel], *, merged: bool) -> list[str]:
    notes = []
    failed = [str(it.island) for it in islands if it.gate_passed is False]
    lost = [str(it.island) for it in islands if not it.present]
    if failed:
        notes.append(
            f"Island {', '.join(failed)} did not beat its own initialisation on its own holdout: "
            "train longer, or lower the learning rate."
        )
    if lost:
        notes.append(
            f"Island {', '.join(lost)} was lost: "
            + ("its last weights are not in the merged model." if merged else _REWEIGHED)
        )
    return notes


def _own_numbers(chosen: SystemScores) -> str:
    if chosen.samples is None:
        return _told(chosen)
    return f"Frechet distance {chosen.samples.frechet_train.mean:.3f} to the training samples"


_MEASURES = {"bitsPerByte": "bits per byte", "accuracy": "accuracy"}
"""Said in place of the loss, which orders systems alike or nearly so."""


def _told(system: SystemScores) -> str:
    known = [words for name, words in _MEASURES.items() if name in system.measures]
    return f"{known[0] if known else 'holdout loss'} {_score(system)}"


def _score(system: SystemScores) -> str:
    known = [system.measures[name] for name in _MEASURES if name in system.measures]
    return f"{known[0]:.3f}" if known else f"{system.holdout_loss:.4g}"


def _control_notes(chosen: SystemScores, systems: Sequence[SystemScores]) -> Iterator[str]:
    by_name = {system.name: system for system in systems}
    if "Uniform" in by_name and by_name["Uniform"].holdout_loss <= chosen.holdout_loss:
        yield (
            f"Taking all experts alike is no worse ({_told(by_name['Uniform'])}): the routing adds "
            "nothing here."
        )
    if "Average" in by_name:
        yield (
            "One model with the mean of the experts' weights, the control, comes to "
            f"{_told(by_name['Average'])}."
        )


def _held(samples: SampleScores) -> str:
    return f"{samples.frechet_holdout.mean:.3f}"
