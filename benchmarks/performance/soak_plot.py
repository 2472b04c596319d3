"""A picture of a soak: each figure over its time, with its slope. It must not judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from soak_trends import Trend

COLUMNS: Final = 3
FLAT: Final = "#1b7837"
GROWS: Final = "#b2182b"


def draw(trends: Sequence[Trend], path: Path) -> None:
    """One panel for each figure."""
    mpl.use("Agg")
    rows = -(-len(trends) // COLUMNS)
    figure, panels = plt.subplots(rows, COLUMNS, figsize=(5 * COLUMNS, 2.4 * rows), squeeze=False)
    for panel in panels.flat[len(trends) :]:
        panel.set_visible(False)
    for it, panel in zip(trends, panels.flat, strict=False):
        _panel(it, panel)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(it: Trend, panel: Axes) -> None:
    series = it.series
    colour = FLAT if it.flat else GROWS
    panel.plot(series.hours, series.values, ".", markersize=2, color="0.6")
    inside = series.hours[series.hours >= it.begin]
    middle, value = np.median(inside), np.median(series.values[series.hours >= it.begin])
    panel.plot(inside, value + it.per_hour * (inside - middle), color=colour)
    panel.axvspan(series.hours[0], it.begin, color="0.93")
    unit = series.bound.unit
    said = "flat" if it.flat else "GROWS"
    interval = f"{it.per_hour:+.3g} {unit}/h [{it.low:+.3g}, {it.high:+.3g}]"
    panel.set_title(f"{series.name}\n{interval}: {said}", fontsize=8, color=colour)
    panel.set_xlabel("hours", fontsize=7)
    panel.tick_params(labelsize=7)
