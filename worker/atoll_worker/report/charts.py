"""Charts as SVG text to be put into the page, in the page's own colours.

Ink and lines are drawn in two marker colours, which become CSS variables: one drawing serves
the light and the dark page.
"""

import io
import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from atoll_worker.report.document import (
    Mergeability,
    RouterFacts,
    SystemScores,
    TrainedModel,
)

INK, LINE = "#010203", "#040506"
_VARIABLES = {INK: "var(--ink)", LINE: "var(--line)"}
ACCENT, BASELINE_COLOUR = "#2a9d8f", "#8d99ae"
PALETTE = (
    "#2a9d8f",
    "#e76f51",
    "#5e7ce2",
    "#e9b44c",
    "#b65fcf",
    "#6a994e",
    "#d1495b",
    "#4cc9f0",
)
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "atoll",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def island_colour(island: int) -> str:
    """The colour of an island, the same in every chart."""
    return PALETTE[island % len(PALETTE)]


def drawn(width: float, height: float) -> Callable[[Callable[..., None]], Callable[..., str]]:
    """Make a function that draws on axes into one that returns SVG; inches."""

    def decorate(draw: Callable[..., None]) -> Callable[..., str]:
        @wraps(draw)
        def as_svg(*arguments: object) -> str:
            with mpl.rc_context(_STYLE):
                figure = Figure(figsize=(width, height), layout="constrained")
                draw(figure.add_subplot(), *arguments)
                return _svg(figure)

        return as_svg

    return decorate


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, dpi=150, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for marker, variable in _VARIABLES.items():
        text = text.replace(marker, variable)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)


@drawn(5.0, 2.6)
def distances(axes: Axes, systems: Sequence[SystemScores], floor: float) -> None:
    """Frechet distance of each system, to the training samples and to the holdout."""
    shown = [system for system in systems if system.samples is not None][::-1]
    for row, system in enumerate(shown):
        assert system.samples is not None
        colour = BASELINE_COLOUR if system.name == "Baseline" else ACCENT
        for spread, offset, alpha in (
            (system.samples.frechet_train, 0.18, 1.0),
            (system.samples.frechet_holdout, -0.18, 0.45),
        ):
            axes.barh(
                row + offset,
                spread.mean,
                0.32,
                xerr=spread.sd,
                color=colour,
                alpha=alpha,
                error_kw={"ecolor": INK, "elinewidth": 1.2},
            )
    axes.axvline(floor, color=INK, linestyle=":", linewidth=1.2)
    axes.set_yticks(range(len(shown)), [system.name for system in shown])
    axes.set_xlabel("Frechet distance to training; pale: to holdout; dotted: floor")
    axes.grid(visible=False, axis="y")


@drawn(5.0, 2.8)
def loss_curves(axes: Axes, islands: Sequence[TrainedModel], baseline: TrainedModel | None) -> None:
    """Training loss over steps."""
    named = len(islands) <= len(PALETTE)
    for model in islands:
        if model.loss_curve:
            label = model.name if named else None
            axes.plot(*curve_of(model), color=island_colour(model.island or 0), lw=1.3, label=label)
    if baseline is not None and baseline.loss_curve:
        axes.plot(*curve_of(baseline), color=INK, lw=1.3, ls="--", label="baseline")
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("training loss")
    axes.set_yscale("log")
    axes.minorticks_off()
    plain_ticks(axes, [v for m in islands for _, v in m.loss_curve])
    if axes.get_legend_handles_labels()[0]:
        axes.legend(ncols=2, fontsize=8)


def plain_ticks(axes: Axes, values: Sequence[float]) -> None:
    """Ticks of a logarithmic axis as people write numbers."""
    low, high = (min(values), max(values)) if values else (0.1, 1.0)
    ticks = [t * 10.0**p for p in range(-6, 7) for t in (1, 2, 3, 5)]
    shown = [tick for tick in ticks if low * 0.8 <= tick <= high * 1.2]
    axes.set_yticks(shown, [f"{tick:g}" for tick in shown])


def curve_of(model: TrainedModel) -> tuple[list[float], list[float]]:
    """Steps and losses."""
    return [point[0] for point in model.loss_curve], [point[1] for point in model.loss_curve]


@drawn(5.0, 2.8)
def router_over_time(axes: Axes, router: RouterFacts) -> None:
    """Accuracy and confidence of the router from clean samples to pure noise."""
    middle = [(b.time_low + b.time_high) / 2 for b in router.bins]
    axes.plot(middle, [b.accuracy for b in router.bins], "o-", color=ACCENT, label="accuracy")
    axes.plot(
        middle,
        [b.confidence for b in router.bins],
        "s--",
        color=PALETTE[1],
        ms=4,
        label="confidence",
    )
    axes.axhline(router.chance, color=INK, linestyle=":", linewidth=1.2, label="chance")
    axes.set(xlabel="noise level t (1 is pure noise)", ylim=(0, 1.03), xlim=(0, 1))
    axes.legend(fontsize=8, loc="lower left")


@drawn(5.0, 2.8)
def mergeability(axes: Axes, points: Sequence[Mergeability]) -> None:
    """Scores of the islands alone and of the mean of their weights, over the training."""
    name = "accuracy" if points and "accuracy" in points[0].merged else "loss"
    steps = [point.step for point in points]
    axes.plot(steps, [p.merged[name] for p in points], "o-", color=ACCENT, label="merged")
    axes.plot(
        steps,
        [p.local[name] for p in points],
        "s--",
        color=PALETTE[1],
        ms=4,
        label="islands alone, mean",
    )
    axes.set(xlabel="optimizer step", ylabel=f"{name} on the holdout")
    axes.legend(fontsize=8)


@drawn(4.4, 4.0)
def division(axes: Axes, xy_P2: Tensor, island_P: Tensor) -> None:
    """The training samples by their first two principal components, coloured by island."""
    colours = [island_colour(int(island)) for island in island_P]
    xy = xy_P2.numpy()
    axes.scatter(xy[:, 0], xy[:, 1], s=9, c=colours, alpha=0.75, linewidths=0, rasterized=True)
    axes.set(xticks=[], yticks=[], xlabel="1st principal component", ylabel="2nd")
    axes.grid(visible=False)
