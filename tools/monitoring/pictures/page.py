"""One dashboard as one picture."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl

from tools.monitoring.pictures import charts, words
from tools.monitoring.pictures.answers import Shown
from tools.monitoring.pictures.prometheus import Span
from tools.monitoring.pictures.style import Box, box_of, new_figure

Draw = Callable[[Shown, Box, Span], None]

KINDS: Final[Mapping[str, Draw]] = {
    "timeseries": charts.curves,
    "heatmap": charts.heat,
    "state-timeline": charts.rows,
    "bargauge": charts.bars,
    "stat": words.number,
    "table": words.table,
    "text": words.prose,
    "row": words.heading,
}
"""How each kind of panel is drawn."""


def draw(shown: Sequence[Shown], span: Span, path: Path) -> None:
    """Write the picture, as PNG.

    Raises:
        KeyError: a kind of panel that is not known here.

    Sections are drawn open; of a dashboard with closed ones, panels would lie on each other.
    """
    rows = max(it.panel["gridPos"]["y"] + it.panel["gridPos"]["h"] for it in shown)
    with mpl.rc_context(
        {"font.family": "sans-serif", "axes.facecolor": "none", "text.parse_math": False}
    ):
        figure = new_figure(rows)
        for it in shown:
            box = box_of(figure, it.panel["gridPos"])
            if it.kind != "row":
                box.frame(it.title)
            KINDS[it.kind](it, box, span)
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a glyph that the font lacks is a box
            figure.savefig(path, dpi=figure.dpi, metadata={"Software": None})
