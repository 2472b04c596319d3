"""Losses as small pictures side by side, of one run or of two, and the gap of merging."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from atoll_worker.report.charts import (
    ACCENT,
    INK,
    PALETTE,
    curve_of,
    drawn,
    island_colour,
    plain_ticks,
)
from atoll_worker.report.document import Mergeability, TrainedModel

MAX_ISLANDS: Final = 24
"""Pictures side by side; a page is no wall."""
OTHER: Final = PALETTE[1]
"""The second of two runs; the first has ACCENT."""
_SMALL: Final = 9

Scale = tuple[float, float]
"""Lowest and highest loss of pictures that are compared."""


def worth_showing(islands: Sequence[TrainedModel]) -> list[TrainedModel]:
    """Those with a curve, by number; of many, those that are worst off."""
    known = [it for it in islands if it.loss_curve]
    worst = sorted(known, key=_badness, reverse=True)[:MAX_ISLANDS]
    return sorted(worst, key=lambda it: it.island or 0)


def _badness(model: TrainedModel) -> tuple[bool, float]:
    return (model.gate_passed is False, model.final_holdout_loss or 0.0)


def scale_of(models: Iterable[TrainedModel | None]) -> Scale:
    """Of all curves and holdout losses."""
    found = [value for model in models if model for value in _values(model)]
    return (min(found), max(found)) if found else (0.1, 1.0)


def _values(model: TrainedModel) -> list[float]:
    ends = (model.initial_holdout_loss, model.final_holdout_loss)
    losses = [*(loss for _, loss in model.loss_curve), *(it for it in ends if it is not None)]
    return [it for it in losses if it > 0]


@drawn(2.5, 1.75)
def island(axes: Axes, model: TrainedModel, baseline: TrainedModel | None, scale: Scale) -> None:
    """One island: its training loss, its holdout loss before and after, and the baseline."""
    if baseline is not None and baseline.loss_curve:
        axes.plot(*curve_of(baseline), color=INK, lw=0.9, ls="--", alpha=0.6)
    colour = island_colour(model.island or 0)
    axes.plot(*curve_of(model), color=colour, lw=1.3)
    _holdout(axes, model, colour)
    _small(axes, scale)


@drawn(2.5, 1.75)
def pair(axes: Axes, first: TrainedModel | None, second: TrainedModel | None, scale: Scale) -> None:
    """The same island in two runs; one of them may not have it."""
    for model, colour, style in ((first, ACCENT, "-"), (second, OTHER, "--")):
        if model is not None and model.loss_curve:
            axes.plot(*curve_of(model), color=colour, lw=1.3, ls=style)
            _holdout(axes, model, colour)
    _small(axes, scale)


def _holdout(axes: Axes, model: TrainedModel, colour: str) -> None:
    ends = ((0, model.initial_holdout_loss), (model.steps, model.final_holdout_loss))
    known = [(step, loss) for step, loss in ends if loss is not None]
    steps, losses = [step for step, _ in known], [loss for _, loss in known]
    axes.plot(steps, losses, "o", color=colour, ms=4.5, mfc="none", clip_on=False)


def _small(axes: Axes, scale: Scale) -> None:
    low, high = scale
    axes.set_yscale("log")
    axes.minorticks_off()
    plain_ticks(axes, scale)
    axes.set_ylim(low * 0.9, high * 1.12)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(labelsize=_SMALL, length=2)


@drawn(5.0, 2.8)
def both(
    axes: Axes, first: Sequence[TrainedModel], second: Sequence[TrainedModel], names: Sequence[str]
) -> None:
    """Two runs: every island pale, the mean of the islands strong."""
    for models, colour, style, name in (
        (first, ACCENT, "-", names[0]),
        (second, OTHER, "--", names[1]),
    ):
        known = [it for it in models if it.loss_curve]
        for model in known:
            axes.plot(*curve_of(model), color=colour, lw=0.7, ls=style, alpha=0.35)
        if known:
            axes.plot(*mean_curve(known), color=colour, lw=2.0, ls=style, label=name)
    axes.set(xlabel="optimizer step", ylabel="training loss", yscale="log")
    axes.minorticks_off()
    plain_ticks(axes, scale_of((*first, *second)))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)


def mean_curve(models: Sequence[TrainedModel]) -> tuple[list[float], list[float]]:
    """Steps, and the mean loss of all curves there: only as far as every one of them goes."""
    curves = [curve_of(it) for it in models]
    first, last = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    steps = sorted({at for x, _ in curves for at in x if first <= at <= last})
    means = np.mean([np.interp(steps, x, y) for x, y in curves], axis=0) if steps else []
    return steps, [float(it) for it in means]


@drawn(5.0, 2.8)
def gap(axes: Axes, points: Sequence[Mergeability]) -> None:
    """Loss of the mean of all weights less the mean of the islands' losses, over the training."""
    steps, gaps = [it.step for it in points], [it.gap for it in points]
    axes.fill_between(steps, gaps, 0, color=ACCENT, alpha=0.18, lw=0)
    axes.plot(steps, gaps, "o-", color=ACCENT, ms=4)
    axes.axhline(0, color=INK, lw=1)
    axes.set(xlabel="optimizer step", ylabel="gap in loss")


@drawn(5.0, 2.8)
def both_gaps(
    axes: Axes,
    first: Sequence[Mergeability],
    second: Sequence[Mergeability],
    names: Sequence[str],
) -> None:
    """The gaps of two runs that merge, or of the one that does."""
    for points, colour, style, name in (
        (first, ACCENT, "o-", names[0]),
        (second, OTHER, "s--", names[1]),
    ):
        if points:
            steps, gaps = [it.step for it in points], [it.gap for it in points]
            axes.plot(steps, gaps, style, color=colour, ms=4, label=name)
    axes.axhline(0, color=INK, lw=1)
    axes.set(xlabel="optimizer step", ylabel="gap in loss")
    axes.legend(fontsize=8)
