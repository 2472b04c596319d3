"""Colours, sizes and boxes: what all kinds of panels share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

COLUMN_PIXELS: Final = 66
ROW_PIXELS: Final = 34
GAP_PIXELS: Final = 8
DPI: Final = 100
INK: Final = "#24292e"
FAINT: Final = "#6e7781"
LINE: Final = "#e3e6ea"
PAGE: Final = "#f4f5f7"
PALETTE: Final = (
    *("#2a9d8f", "#e76f51", "#5e7ce2", "#e9b44c", "#b65fcf", "#6a994e", "#d1495b", "#4cc9f0"),
    *("#8d6e63", "#577590", "#f28482", "#84a59d"),
)
_NAMED: Final = {
    "green": "#37872d",
    "yellow": "#e0b400",
    "orange": "#fa6400",
    "red": "#c4162a",
    "blue": "#1f60c4",
}


def colour(name: str) -> str:
    """A colour by Grafana's name for it."""
    return _NAMED.get(name, name)


def colour_at(value: float, limits: Sequence[tuple[float, str]]) -> str:
    """The colour of a value, by the limits that it has reached."""
    if math.isnan(value):
        return FAINT
    return colour([it for at, it in limits if value >= at][-1])


@dataclass(frozen=True)
class Box:
    """A panel's place on the figure, in pixels from the top left."""

    figure: Figure
    x: float
    y: float
    width: float
    height: float

    def axes(self, left: float = 0, top: float = 0, right: float = 0, bottom: float = 0) -> Axes:
        """Axes inside, with margins in pixels."""
        whole_width, whole_height = self.figure.get_size_inches() * DPI
        low = whole_height - self.y - self.height + bottom
        return self.figure.add_axes(
            (
                (self.x + left) / whole_width,
                low / whole_height,
                max(self.width - left - right, 1) / whole_width,
                max(self.height - top - bottom, 1) / whole_height,
            )
        )

    def blank(self, left: float = 0, top: float = 0, right: float = 0, bottom: float = 0) -> Axes:
        """Axes for text: in pixels from the top left, without lines."""
        axes = self.axes(left, top, right, bottom)
        axes.set_axis_off()
        axes.set_xlim(0, max(self.width - left - right, 1))
        axes.set_ylim(max(self.height - top - bottom, 1), 0)
        return axes

    def frame(self, title: str) -> None:
        """A white card with a title."""
        axes = self.blank()
        card = FancyBboxPatch(
            (1, 1),
            self.width - 2,
            self.height - 2,
            boxstyle="round,pad=0,rounding_size=4",
            facecolor="white",
            edgecolor=LINE,
            linewidth=1,
        )
        axes.add_patch(card)
        if title:
            room = int(self.width / 7)
            axes.text(
                10, 15, shortened(title, room), size=9.5, weight="bold", color=INK, va="center"
            )


def shortened(text: str, room: int) -> str:
    """At most so many characters."""
    return text if len(text) <= room else f"{text[: max(room - 1, 1)]}…"


def new_figure(rows: int) -> Figure:
    """A page of 24 columns and so many rows."""
    width = 24 * COLUMN_PIXELS + GAP_PIXELS
    height = rows * ROW_PIXELS + GAP_PIXELS
    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=PAGE)


def box_of(figure: Figure, place: Any) -> Box:
    """Where a panel of this `gridPos` is."""
    return Box(
        figure,
        place["x"] * COLUMN_PIXELS + GAP_PIXELS,
        place["y"] * ROW_PIXELS + GAP_PIXELS,
        place["w"] * COLUMN_PIXELS - GAP_PIXELS,
        place["h"] * ROW_PIXELS - GAP_PIXELS,
    )
