"""One alert, and alerts as a file of rules that Prometheus reads."""

from dataclasses import dataclass
from typing import Any, Final, Literal

Severity = Literal["critical", "warning", "info"]
"""Critical: somebody is woken; warning: today; info: to know."""

RUNBOOKS: Final = "docs/runbooks"
"""In the repository. The chart can put an address before it."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert.

    Attributes:
        name: also of its runbook.
        severity: how soon somebody has to look.
        expr: in PromQL; whatever it answers is an alert.
        hold: how long it has to be so, as `10m`.
        summary: what is wrong, in one line.
        description: where, and by how much, with `{{ $labels.name }}` and `{{ $value }}`.
    """

    name: str
    severity: Severity
    expr: str
    hold: str
    summary: str
    description: str

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.hold,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOKS}/{self.name}.md",
            },
        }


@dataclass(frozen=True)
class Group:
    """Alerts that are asked together."""

    name: str
    alerts: tuple[Alert, ...]


def document(groups: tuple[Group, ...]) -> dict[str, Any]:
    """The file of rules; also the spec of a PrometheusRule."""
    return {
        "groups": [
            {"name": group.name, "rules": [alert.rule() for alert in group.alerts]}
            for group in groups
        ]
    }
