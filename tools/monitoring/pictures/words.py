"""Panels of text and numbers: one large number, a table, prose, the heading of a section."""

import math
import re
import textwrap
from typing import Any, Final

from matplotlib.axes import Axes

from tools.monitoring.pictures.amounts import said
from tools.monitoring.pictures.answers import Answer, Shown, rows
from tools.monitoring.pictures.prometheus import Span
from tools.monitoring.pictures.style import FAINT, INK, LINE, Box, colour, colour_at, shortened

_ROW: Final = 24
_HEAD: Final = 44


def number(shown: Shown, box: Box, span: Span) -> None:
    """The last values, large, with their past below."""
    named = shown.panel["options"].get("textMode") == "name"
    told = [it for it in shown.answers if not math.isnan(it.last)]
    width = box.width / max(len(told), 1)
    axes = box.blank()
    for index, it in enumerate(told):
        _spark(shown, it, Box(box.figure, box.x + index * width, box.y, width, box.height), span)
        hue = colour_at(it.last, shown.limits)
        text = it.name if named else said(it.last, shown.unit)
        size = min(26.0, 1.5 * width / max(len(text), 1), box.height / 4)
        middle = (index + 0.5) * width
        axes.text(middle, box.height * 0.52, text, size=size, weight="bold", color=hue, ha="center",
                  va="center", zorder=3)  # fmt: skip
        if len(told) > 1 and not named:
            axes.text(middle, box.height * 0.82, shortened(it.name, 14), size=8.5, color=FAINT,
                      ha="center", va="center")  # fmt: skip
    if not told:
        axes.text(
            box.width / 2, box.height * 0.55, "-", size=22, color=FAINT, ha="center", va="center"
        )


def _spark(shown: Shown, answer: Answer, box: Box, span: Span) -> None:
    if len(answer.series.values) < 3 or shown.panel["options"].get("graphMode") != "area":
        return
    axes = box.axes(left=4, top=box.height * 0.68, right=4, bottom=3)
    axes.set_axis_off()
    hue = colour_at(answer.last, shown.limits)
    axes.fill_between(answer.series.times, answer.series.values, color=hue, alpha=0.18, linewidth=0)
    axes.plot(answer.series.times, answer.series.values, color=hue, linewidth=1)
    axes.set_xlim(span.start, span.end)


def table(shown: Shown, box: Box, span: Span) -> None:
    """Labels and values, as many rows as fit."""
    del span
    heads, found = rows(shown)
    axes = box.blank()
    room = int((box.height - _HEAD - 8) / _ROW)
    width = (box.width - 20) / max(len(heads), 1)
    for column, head in enumerate(heads):
        where = 12 + column * width
        axes.text(where, 36, shortened(head, int(width / 6.5)), size=8.5, weight="bold", color=FAINT,
                  va="center")  # fmt: skip
        for index, row in enumerate(sorted(found, key=_key)[:room]):
            _field(axes, shown, row[column], head, (where, _HEAD + (index + 0.5) * _ROW, width))
    for index in range(min(len(found), room) + 1):
        axes.axhline(_HEAD + index * _ROW, color=LINE, linewidth=0.7, xmin=0.01, xmax=0.99)
    if not found:
        axes.text(box.width / 2, box.height / 2, "No data", size=10, color=FAINT, ha="center")


def _key(row: list[Answer | str]) -> tuple[str, ...]:
    return tuple(
        re.sub(r"\d+", lambda it: it[0].zfill(9), it) if isinstance(it, str) else "" for it in row
    )


def _field(
    axes: Axes, shown: Shown, field: Answer | str, head: str, place: tuple[float, float, float]
) -> None:
    x, y, width = place
    if isinstance(field, str):
        text, hue = field, INK
    else:
        look = _look(shown, head)
        text = said(field.last, str(look.get("unit", shown.unit)))
        steps = look.get("thresholds", {}).get("steps", [])
        hue = INK
        for step in steps:
            if step["value"] is not None and field.last >= step["value"]:
                hue = colour(step["color"])
    axes.text(x, y, shortened(text, int(width / 6.3)), size=8.5, color=hue, va="center")


def _look(shown: Shown, head: str) -> dict[str, Any]:
    for override in shown.panel["fieldConfig"]["overrides"]:
        if override["matcher"]["options"] == head:
            return {it["id"]: it["value"] for it in override["properties"]}
    return {}


def prose(shown: Shown, box: Box, span: Span) -> None:
    """Markdown, without its marks."""
    del span
    axes = box.blank()
    text = re.sub(r"[*`]", "", shown.panel["options"]["content"]).strip()
    lines = textwrap.wrap(text, int(box.width / 7.2))
    axes.text(12, 10, "\n".join(lines), size=9.5, color=INK, va="top", linespacing=1.5)


def heading(shown: Shown, box: Box, span: Span) -> None:
    """Of a section."""
    del span
    axes = box.blank()
    axes.text(4, box.height / 2, shown.title, size=12, weight="bold", color=INK, va="center")
