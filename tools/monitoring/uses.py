"""Which dashboard and which alert asks for which family."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tools.monitoring import alerts, boards
from tools.monitoring.catalogue import FAMILY_OF
from tools.monitoring.promql import filled, usage

EXAMPLE: Final = {
    "namespace": "lab",
    "job": "digits",
    "island": "(0|1)",
    "pod": "atoll-operator-0",
    "__rate_interval": "2m",
    "__range": "1h",
}
"""Values of Grafana's variables, for whoever reads queries without Grafana."""


@dataclass(frozen=True)
class Asked:
    """One query, and whose it is."""

    where: str
    """The uid of a dashboard, or the name of an alert."""
    title: str
    expr: str
    """Without variables."""


def asked() -> Iterator[Asked]:
    """Every query of every dashboard and alert."""
    for board in boards.ALL:
        for view in board.views:
            for expr in view.expressions:
                yield Asked(board.uid, view.title, filled(expr, EXAMPLE))
    for alert in alerts.ALL:
        yield Asked(alert.name, "", alert.expr)


def users() -> Mapping[str, tuple[str, ...]]:
    """Dashboards and alerts by the name of a family; none for what is not asked for."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for one in asked():
        for selector in usage(one.expr).selectors:
            family = FAMILY_OF.get(selector.name)
            found[family.name if family else selector.name][one.where] = None
    return {name: tuple(where) for name, where in found.items()}
