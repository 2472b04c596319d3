"""Panels with an axis of time: curves, heat maps, rows of states; and bars."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tools.monitoring.pictures.amounts import said
from tools.monitoring.pictures.answers import Answer, Shown
from tools.monitoring.pictures.prometheus import Span
from tools.monitoring.pictures.style import (
    FAINT,
    INK,
    LINE,
    PALETTE,
    Box,
    colour,
    colour_at,
    shortened,
)

_LEGEND_ROW: Final = 15
_MOST_IN_LEGEND: Final = 12


def curves(shown: Shown, box: Box, span: Span) -> None:
    """Lines over time, or areas on each other."""
    columns = max(1, int((box.width - 60) / (26 + 6.4 * _longest(shown.answers))))
    legend_rows = math.ceil(min(len(shown.answers), _MOST_IN_LEGEND) / columns)
    axes = box.axes(left=62, top=30, right=28, bottom=26 + _LEGEND_ROW * legend_rows)
    _time_axis(axes, span, box.width - 100)
    stacked = shown.custom.get("stacking", {}).get("mode") == "normal"
    (_stack if stacked else _lines)(axes, shown, span)
    _value_axis(axes, shown)
    _limits(axes, shown)
    _legend(axes, columns)


def _longest(answers: Sequence[Answer]) -> int:
    return max((len(shortened(it.name, 26)) for it in answers), default=1)


def _lines(axes: Axes, shown: Shown, span: Span) -> None:
    steps = shown.custom.get("lineInterpolation") == "stepAfter"
    for index, it in enumerate(shown.answers):
        times, values = _with_gaps(it, span)
        few = np.isfinite(values).sum() < 3
        axes.plot(
            times,
            values,
            color=PALETTE[index % len(PALETTE)],
            linewidth=1.4,
            drawstyle="steps-post" if steps else "default",
            marker="o" if few else "",
            markersize=3,
            label=shortened(it.name, 26),
        )


def _stack(axes: Axes, shown: Shown, span: Span) -> None:
    if not shown.answers:
        return
    times = _grid(span)
    heights = [np.nan_to_num(_with_gaps(it, span)[1]) for it in shown.answers]
    names = [shortened(it.name, 26) for it in shown.answers]
    hues = [PALETTE[index % len(PALETTE)] for index in range(len(names))]
    axes.stackplot(times, *heights, labels=names, colors=hues, alpha=0.65, linewidth=0)


def _grid(span: Span) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.arange(span.start, span.end + span.step / 2, span.step)


def _with_gaps(
    answer: Answer, span: Span
) -> tuple[
    "np.ndarray[tuple[int], np.dtype[np.float64]]", "np.ndarray[tuple[int], np.dtype[np.float64]]"
]:
    """Times and values at every step, NaN where there was nothing."""
    times = _grid(span)
    values = np.full(len(times), np.nan)
    for time, value in zip(answer.series.times, answer.series.values, strict=True):
        index = round((time - span.start) / span.step)
        if 0 <= index < len(values) and math.isfinite(value):
            values[index] = value
    return times, values


def _time_axis(axes: Axes, span: Span, width: float) -> None:
    pattern = "%H:%M:%S" if span.end - span.start < 1200 else "%H:%M"
    axes.set_xlim(span.start, span.end)
    axes.xaxis.set_major_locator(MaxNLocator(max(1, min(5, int(width / 90)))))
    moment = FuncFormatter(lambda it, _: datetime.fromtimestamp(it, UTC).strftime(pattern))
    axes.xaxis.set_major_formatter(moment)
    axes.grid(visible=True, color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8, colors=FAINT, length=0)


def _value_axis(axes: Axes, shown: Shown) -> None:
    low, high = shown.defaults.get("min"), shown.defaults.get("max")
    if not any(math.isfinite(value) for it in shown.answers for value in it.series.values):
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        axes.text(0.5, 0.5, "No data", transform=axes.transAxes, ha="center", color=FAINT, size=10)
        return
    bottom, top = axes.get_ylim()
    if low is not None:
        bottom = low
    if high is not None:
        top = high
    axes.set_ylim(bottom, top if top > bottom else bottom + 1)
    axes.set_yticks([it for it in ticks(bottom, top, shown.unit) if bottom <= it <= top])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda it, _: said(it, shown.unit)))


def ticks(bottom: float, top: float, unit: str) -> list[float]:
    """About five round values, round in the unit that the highest is said in."""
    highest = max(abs(bottom), abs(top))
    scale = 1.0
    if unit == "bytes":
        scale = 1024.0 ** int(math.log(max(highest, 1.0), 1024))
    if unit == "s":
        scale = next((it for it in (86400.0, 3600.0, 60.0) if highest >= it), 1.0)
    found = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(bottom / scale, top / scale)
    return [float(it) * scale for it in found]


def _limits(axes: Axes, shown: Shown) -> None:
    bottom, top = axes.get_ylim()
    for value, hue in shown.limits[1:]:
        if bottom < value < top:
            axes.axhline(value, color=colour(hue), linestyle="--", linewidth=0.9)


def _legend(axes: Axes, columns: int) -> None:
    handles, names = axes.get_legend_handles_labels()
    kept = [(it, name) for it, name in zip(handles, names, strict=True) if name]
    if not kept:
        return
    if len(kept) > _MOST_IN_LEGEND:
        more = f"and {len(kept) - _MOST_IN_LEGEND + 1} more"
        kept = [*kept[: _MOST_IN_LEGEND - 1], (kept[-1][0], more)]
    axes.legend(
        *zip(*kept, strict=True),
        loc="upper left",
        bbox_to_anchor=(-0.02, 0.0),
        bbox_transform=axes.transAxes,
        borderaxespad=2.1,
        ncols=columns,
        fontsize=7.5,
        frameon=False,
        labelcolor=INK,
        handlelength=1.1,
        columnspacing=1.0,
        labelspacing=0.25,
    )


def heat(shown: Shown, box: Box, span: Span) -> None:
    """A histogram over time: buckets upwards, darker where more fell into one."""
    axes = box.axes(left=62, top=30, right=28, bottom=28)
    _time_axis(axes, span, box.width - 100)
    axes.grid(visible=False)
    buckets = sorted(shown.answers, key=lambda it: float(it.series.labels["le"]))
    if not any(it.last > 0 or max(it.series.values) > 0 for it in buckets):
        _value_axis(axes, Shown(shown.panel))
        return
    sums = np.array([np.nan_to_num(_with_gaps(it, span)[1]) for it in buckets])
    counts = np.clip(np.diff(sums, axis=0, prepend=0), 0, None)
    edges = np.arange(len(buckets) + 1)
    times = np.append(_grid(span), span.end + span.step) - span.step / 2
    colours = mpl.colormaps["Blues"]
    masked = np.ma.masked_less_equal(counts, 1e-9)
    axes.pcolormesh(times, edges, np.sqrt(masked), cmap=colours, vmin=-0.3 * np.sqrt(counts.max()))
    names = [said(float(it.series.labels["le"]), shown.unit) for it in buckets]
    axes.set_yticks(edges[1:], ["more" if name == "inf" else name for name in names])


def rows(shown: Shown, box: Box, span: Span) -> None:
    """A row a series: as long as a value lasts, one block."""
    axes = box.axes(left=110, top=30, right=28, bottom=26)
    _time_axis(axes, span, box.width - 100)
    axes.grid(visible=False)
    answers = sorted(shown.answers, key=lambda it: _natural(it.name))
    if not answers:
        _value_axis(axes, shown)
        return
    highest = max((it.last for it in answers if math.isfinite(it.last)), default=1.0)
    for index, it in enumerate(answers):
        for start, end, value in blocks(it, span):
            text, hue = _look(value, shown, highest)
            axes.broken_barh([(start, end - start)], (index - 0.42, 0.84), color=hue)
            if (end - start) / (span.end - span.start) * box.width > 9 * len(text):
                dark = mpl.colors.rgb_to_hsv(mpl.colors.to_rgb(hue))[2] < 0.75
                ink = "white" if dark else INK
                axes.text(
                    (start + end) / 2, index, text, ha="center", va="center", size=7.5, color=ink
                )
    axes.set_ylim(len(answers) - 0.5, -0.5)
    axes.set_yticks(range(len(answers)), [shortened(it.name, 16) for it in answers])


def _natural(name: str) -> tuple[str, int]:
    head, _, tail = name.rpartition("-")
    return (head, int(tail)) if tail.isdecimal() else (name, 0)


def blocks(answer: Answer, span: Span) -> list[tuple[float, float, float]]:
    """(begin, end, value) of each stretch of equal values."""
    found: list[tuple[float, float, float]] = []
    for time, value in zip(answer.series.times, answer.series.values, strict=True):
        last = found[-1] if found else None
        if last and last[2] == value and time - last[1] < 1.5 * span.step:
            found[-1] = (last[0], time + span.step, value)
        else:
            found.append((time, time + span.step, value))
    return found


def _look(value: float, shown: Shown, highest: float) -> tuple[str, str]:
    mappings = shown.defaults.get("mappings") or []
    words = mappings[0]["options"] if mappings else {}
    if (key := f"{value:g}") in words:
        return words[key]["text"], colour(words[key]["color"])
    share = min(max(value / highest, 0.0), 1.0) if highest and math.isfinite(value) else 0.0
    return key, mpl.colors.to_hex(mpl.colormaps["BuPu"](0.15 + 0.75 * share))


def bars(shown: Shown, box: Box, span: Span) -> None:
    """A bar a series, from the lowest to the highest that there can be."""
    del span
    axes = box.axes(left=86, top=32, right=56, bottom=10)
    axes.set_axis_off()
    answers = sorted(shown.answers, key=lambda it: _natural(it.name))[:24]
    known = [it.last for it in answers if math.isfinite(it.last)]
    top = shown.defaults.get("max") or max([*known, 0.0]) or 1.0
    axes.set_xlim(0, top)
    axes.set_ylim(max(len(answers), 4) - 0.5, -0.5)
    for index, it in enumerate(answers):
        hue = colour_at(it.last, shown.limits)
        axes.barh(index, top, height=0.7, color="#f0f2f4")
        length = min(max(it.last, 0.0), top) if math.isfinite(it.last) else 0.0
        axes.barh(index, length, height=0.7, color=hue, alpha=0.85)
        axes.text(
            -0.02 * top, index, shortened(it.name, 13), ha="right", va="center", size=8, color=INK
        )
        axes.text(1.02 * top, index, said(it.last, shown.unit), va="center", size=8, color=hue)
    if not answers:
        axes.text(0.5, 0.5, "No data", transform=axes.transAxes, ha="center", color=FAINT, size=10)
