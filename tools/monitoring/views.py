"""What can stand in a dashboard: curves, numbers, tables, heat maps, rows of time, bars, texts.

A view is data; `panel` makes of it what Grafana reads, with the types of its foundation SDK. Each says
what it shows, in which unit, and where it begins to be wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Final, Protocol

from grafana_foundation_sdk.builders import bargauge, common, heatmap, stat, statetimeline, table
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus as ask
from grafana_foundation_sdk.builders import text as prose
from grafana_foundation_sdk.builders import timeseries as curves
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as made
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models import prometheus as answers
from grafana_foundation_sdk.models import text as texts

SOURCE: Final = made.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN: Final = "green"
YELLOW: Final = "yellow"
ORANGE: Final = "orange"
RED: Final = "red"
BLUE: Final = "blue"
Limits = tuple[tuple[float, str], ...]
"""From which value on which colour; below the first, green."""


@dataclass(frozen=True)
class Query:
    """One question to Prometheus.

    Attributes:
        expr: in PromQL, with Grafana's variables.
        legend: how an answer is called, with `{{label}}` for the value of a label.
    """

    expr: str
    legend: str = ""


class View(Protocol):
    """What stands in a dashboard, so many of 24 columns wide and so many rows high."""

    @property
    def title(self) -> str:
        """Over it."""
        ...

    @property
    def width(self) -> int:
        """Of 24."""
        ...

    @property
    def height(self) -> int:
        """In rows of about 30 pixels."""
        ...

    @property
    def expressions(self) -> tuple[str, ...]:
        """All that it asks."""
        ...

    def panel(self) -> made.Panel:
        """As Grafana reads it, without id and place."""
        ...


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What every view has that asks Prometheus.

    Attributes:
        title: over it.
        about: what it shows and what is good or bad, for somebody who sees it first.
        unit: as Grafana calls it.
        queries: what is asked.
        limits: from which value on which colour; below the first it is green.
        low: where the axis begins, if not where the values do.
        high: where it ends.
        width: of 24.
        height: in rows of about 30 pixels.
    """

    title: str
    about: str
    unit: str
    queries: tuple[Query, ...]
    limits: Limits = ()
    low: float | None = None
    high: float | None = None
    width: int = 8
    height: int = 8

    @property
    def expressions(self) -> tuple[str, ...]:
        """All that it asks."""
        return tuple(query.expr for query in self.queries)

    def _completed(self, panel: made.Panel, *, instant: bool, shape: str = "") -> made.Panel:
        """With all that does not depend on its kind."""
        panel.title, panel.description, panel.datasource = self.title, self.about, SOURCE
        targets = enumerate(self.queries)
        panel.targets = [
            _target(ascii_uppercase[index], it, instant=instant, shape=shape)
            for index, it in targets
        ]
        defaults = panel.field_config.defaults
        defaults.unit, defaults.thresholds = self.unit, thresholds(self.limits)
        defaults.min_val, defaults.max_val = self.low, self.high
        return panel


def _target(ref: str, query: Query, *, instant: bool, shape: str) -> answers.Dataquery:
    builder = ask.Dataquery().ref_id(ref).expr(query.expr).editor_mode(answers.QueryEditorMode.CODE)
    builder = builder.instant() if instant else builder.range()
    if shape:
        builder = builder.format(answers.PromQueryFormat(shape))
    return builder.legend_format(query.legend or "__auto").build()


def thresholds(limits: Limits) -> made.ThresholdsConfig:
    """Green at first."""
    steps = [made.Threshold(None, GREEN), *(made.Threshold(at, colour) for at, colour in limits)]
    return build.ThresholdsConfig().mode(made.ThresholdsMode.ABSOLUTE).steps(steps).build()


def _coloured(mode: made.FieldColorModeId) -> build.FieldColor:
    return build.FieldColor().mode(mode)


@dataclass(frozen=True, kw_only=True)
class Curves(Asking):
    """Lines over time; stacked where their sum means something. Limits are dashed lines."""

    stacked: bool = False
    steps: bool = False
    """Whether a value holds until the next: for whole numbers."""
    logarithmic: bool = False

    def panel(self) -> made.Panel:
        """As Grafana reads it."""
        legend = common.VizLegendOptions().display_mode(shapes.LegendDisplayMode.LIST)
        tooltip = common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI)
        style = "dashed" if self.limits else "off"
        lines = common.GraphThresholdsStyleConfig().mode(shapes.GraphTresholdsStyleMode(style))
        builder = (
            curves.Panel()
            .legend(legend.placement(shapes.LegendPlacement.BOTTOM).show_legend(True))
            .tooltip(tooltip.sort(shapes.SortOrder.DESCENDING))
            .line_width(1.5)
            .fill_opacity(40 if self.stacked else 6)
            .show_points(shapes.VisibilityMode.AUTO)
            .thresholds_style(lines)
            .color_scheme(_coloured(made.FieldColorModeId.PALETTE_CLASSIC))
        )
        if self.stacked:
            builder.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("A"))
        if self.steps:
            builder.line_interpolation(shapes.LineInterpolation.STEP_AFTER)
        if self.logarithmic:
            scale = common.ScaleDistributionConfig().type(shapes.ScaleDistribution.LOG)
            builder.scale_distribution(scale.log(10))
        return self._completed(builder.build(), instant=False)


@dataclass(frozen=True, kw_only=True)
class Number(Asking):
    """The last value of each series, large; `named` shows what it is called instead."""

    named: bool = False
    spark: bool = True
    width: int = 4
    height: int = 4

    def panel(self) -> made.Panel:
        """As Grafana reads it."""
        graph = shapes.BigValueGraphMode.AREA if self.spark else shapes.BigValueGraphMode.NONE
        text = shapes.BigValueTextMode.NAME if self.named else shapes.BigValueTextMode.AUTO
        builder = (
            stat.Panel()
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
            .graph_mode(graph)
            .text_mode(text)
            .color_mode(shapes.BigValueColorMode.VALUE)
            .color_scheme(_coloured(made.FieldColorModeId.THRESHOLDS))
            .no_value("-")
        )
        return self._completed(builder.build(), instant=not self.spark)


@dataclass(frozen=True, kw_only=True)
class Bars(Asking):
    """The last value of each series as a bar, from `low` to `high`."""

    def panel(self) -> made.Panel:
        """As Grafana reads it."""
        builder = (
            bargauge.Panel()
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
            .display_mode(shapes.BarGaugeDisplayMode.BASIC)
            .orientation(shapes.VizOrientation.HORIZONTAL)
            .color_scheme(_coloured(made.FieldColorModeId.THRESHOLDS))
            .no_value("-")
        )
        return self._completed(builder.build(), instant=True)


@dataclass(frozen=True, kw_only=True)
class Heat(Asking):
    """A histogram over time: one query, by `le`."""

    def panel(self) -> made.Panel:
        """As Grafana reads it."""
        colour = heatmap.HeatmapColorOptions().mode(heat.HeatmapColorMode.SCHEME)
        builder = (
            heatmap.Panel()
            .calculate(False)
            .color(colour.scheme("Blues").steps(32).exponent(0.5).reverse(False))
            .y_axis(heatmap.YAxisConfig().unit(self.unit))
            .cell_gap(1)
            .show_tooltip()
            .hide_legend()
        )
        panel = builder.build()
        panel.field_config.defaults.custom = heat.FieldConfig()  # as Grafana's own reader has it
        return self._completed(panel, instant=False, shape="heatmap")


@dataclass(frozen=True, kw_only=True)
class Rows(Asking):
    """A row a series, coloured by its value as time goes on; words for values, if there are any."""

    words: tuple[tuple[str, str, str], ...] = ()
    """(value, word, colour)."""

    def panel(self) -> made.Panel:
        """As Grafana reads it."""
        mode = made.FieldColorModeId
        legend = common.VizLegendOptions().display_mode(shapes.LegendDisplayMode.LIST)
        builder = (
            statetimeline.Panel()
            .show_value(shapes.VisibilityMode.AUTO)
            .merge_values(True)
            .row_height(0.85)
            .fill_opacity(75)
            .line_width(0)
            .legend(legend.placement(shapes.LegendPlacement.BOTTOM).show_legend(bool(self.words)))
            .color_scheme(_coloured(mode.THRESHOLDS if self.words else mode.CONTINUOUS_BL_PU))
        )
        if self.words:
            words = {
                value: made.ValueMappingResult(text=word, color=colour)
                for value, word, colour in self.words
            }
            builder.mappings([made.ValueMap(words)])
        return self._completed(builder.build(), instant=False)


@dataclass(frozen=True)
class Column:
    """What one query adds to a table: a value a row, the row told by its labels."""

    title: str
    expr: str
    unit: str
    limits: Limits = ()


@dataclass(frozen=True, kw_only=True)
class Table:
    """One row a set of labels, one column a query.

    Attributes:
        title: over it.
        about: what it shows.
        columns: of numbers, after those of labels.
        labels: in their order, with their headings.
        sort: the column by which rows are sorted, downwards.
        hidden: columns that only add their labels.
        link: from the first label on, to where: an address of Grafana.
    """

    title: str
    about: str
    columns: tuple[Column, ...]
    labels: tuple[tuple[str, str], ...]
    sort: str = ""
    hidden: tuple[str, ...] = ()
    link: tuple[str, str] | None = None
    width: int = 24
    height: int = 9

    @property
    def expressions(self) -> tuple[str, ...]:
        """All that it asks."""
        return tuple(column.expr for column in self.columns)

    def panel(self) -> made.Panel:
        """As Grafana reads it."""
        builder = table.Panel().show_header(True).cell_height(shapes.TableCellHeight.SM)
        if self.sort:
            order = common.TableSortByFieldState().display_name(self.sort).desc(True)
            builder.sort_by([order])
        for column in self.columns:
            builder.override_by_name(column.title, _looks(column))
        if self.link:
            label, address = self.link
            link = {"title": "Open", "url": address}
            builder.override_by_name(label, [made.DynamicConfigValue("links", [link])])
        builder.transformations([made.DataTransformerConfig("merge", options={}), self._order()])
        queries = tuple(Query(column.expr) for column in self.columns)
        head = Asking(title=self.title, about=self.about, unit="short", queries=queries)
        return head._completed(builder.build(), instant=True, shape="table")  # noqa: SLF001

    def _order(self) -> made.DataTransformerConfig:
        values = value_names(len(self.columns))
        names = dict(self.labels) | dict(
            zip(values, (it.title for it in self.columns), strict=True)
        )
        hidden = {
            value: True
            for value, it in zip(values, self.columns, strict=True)
            if it.title in self.hidden
        }
        options = {
            "excludeByName": {"Time": True} | hidden,
            "indexByName": {name: index for index, name in enumerate(names)},
            "renameByName": names,
        }
        return made.DataTransformerConfig("organize", options=options)


def value_names(count: int) -> Sequence[str]:
    """What Grafana calls the values of so many queries in one table."""
    return ["Value"] if count == 1 else [f"Value #{ascii_uppercase[it]}" for it in range(count)]


def _looks(column: Column) -> list[made.DynamicConfigValue]:
    found = [made.DynamicConfigValue("unit", column.unit)]
    if column.limits:
        found.append(made.DynamicConfigValue("thresholds", thresholds(column.limits)))
        coloured = {"type": "color-text"}
        found.append(made.DynamicConfigValue("custom.cellOptions", coloured))
    return found


@dataclass(frozen=True, kw_only=True)
class Text:
    """Words for who is here for the first time, in Markdown."""

    title: str
    words: str
    width: int = 24
    height: int = 3
    expressions: tuple[str, ...] = ()

    def panel(self) -> made.Panel:
        """As Grafana reads it."""
        builder = prose.Panel().mode(texts.TextMode.MARKDOWN).content(self.words)
        return builder.title(self.title).description("What this page is for.").build()
