"""A dashboard: views in sections on a grid of 24 columns, variables, and ways to the others."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as made

from tools.monitoring.views import SOURCE, View

COLUMNS: Final = 24
TAG: Final = "atoll"


@dataclass(frozen=True)
class Section:
    """Views under one heading; one that is closed asks nothing until somebody opens it."""

    title: str
    views: tuple[View, ...]
    closed: bool = False


@dataclass(frozen=True)
class Choice:
    """A variable: the values of a label, of which one is chosen, or several.

    Attributes:
        name: as queries use it.
        label: as a person reads it.
        query: of Grafana: `label_values(series, label)`.
        regex: which part of a value is meant, with a group `value` and a group `text`.
        several: whether more than one can be chosen, or all.
        every: what all are, as a regular expression.
    """

    name: str
    label: str
    query: str
    regex: str = ""
    several: bool = False
    every: str = ".*"


@dataclass(frozen=True)
class Board:
    """One dashboard."""

    uid: str
    title: str
    about: str
    choices: tuple[Choice, ...]
    sections: tuple[Section, ...]
    since: str = "now-1h"

    @property
    def views(self) -> Iterator[View]:
        """All of them."""
        for section in self.sections:
            yield from section.views

    def document(self) -> dict[str, Any]:
        """As Grafana imports it."""
        whole = (
            build.Dashboard(self.title)
            .uid(self.uid)
            .description(self.about)
            .tags([TAG])
            .timezone("browser")
            .time(self.since, "now")
            .refresh("30s")
            .tooltip(made.DashboardCursorSync.CROSSHAIR)
            .readonly()
            .variables([_source(), *map(_variable, self.choices)])
            .link(_ways())
            .build()
        )
        whole.panels = _Grid().placed(self.sections)
        found: dict[str, Any] = json.loads(json.dumps(whole, cls=JSONEncoder))
        return found


def text_of(board: Board) -> str:
    """The file that is committed."""
    return json.dumps(board.document(), indent=2, sort_keys=True) + "\n"


def _source() -> build.DatasourceVariable:
    return build.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _variable(choice: Choice) -> build.QueryVariable:
    found = (
        build.QueryVariable(choice.name)
        .label(choice.label)
        .datasource(SOURCE)
        .query(choice.query)
        .regex(choice.regex)
        .refresh(made.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(made.VariableSort.NUMERICAL_ASC)
    )
    if not choice.several:
        return found
    chosen = made.VariableOption(selected=True, text=["All"], value=["$__all"])
    return found.multi(True).include_all(True).all_value(choice.every).current(chosen)


def _ways() -> build.DashboardLink:
    found = build.DashboardLink("Atoll").type(made.DashboardLinkType.DASHBOARDS).tags([TAG])
    return found.keep_time(True).include_vars(True).as_dropdown(False)


@dataclass
class _Grid:
    """Where the next panel goes, and its number."""

    x: int = 0
    y: int = 0
    lowest: int = 0
    panels: list[made.Panel | made.RowPanel] = field(default_factory=list)
    number: int = 0

    def placed(self, sections: Iterable[Section]) -> list[made.Panel | made.RowPanel]:
        """All panels with id and place, as one reads: from left to right, then down."""
        for section in sections:
            row = self._row(section)
            inside = [self._panel(view) for view in section.views]
            self.panels.append(row)
            if section.closed:
                row.panels = inside
                self.x, self.y, self.lowest = 0, row.grid_pos.y + 1 if row.grid_pos else 0, 0
            else:
                self.panels += inside
        return self.panels

    def _row(self, section: Section) -> made.RowPanel:
        self._down()
        row = build.Row(section.title).collapsed(section.closed).id(self._next()).build()
        row.grid_pos = made.GridPos(h=1, w=COLUMNS, x=0, y=self.y)
        self.y += 1
        return row

    def _panel(self, view: View) -> made.Panel:
        if self.x + view.width > COLUMNS:
            self._down()
        panel = view.panel()
        panel.id_val = self._next()
        panel.grid_pos = made.GridPos(h=view.height, w=view.width, x=self.x, y=self.y)
        self.x += view.width
        self.lowest = max(self.lowest, view.height)
        return panel

    def _down(self) -> None:
        self.x, self.y, self.lowest = 0, self.y + self.lowest, 0

    def _next(self) -> int:
        self.number += 1
        return self.number
