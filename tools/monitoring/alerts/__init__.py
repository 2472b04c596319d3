"""What wakes somebody: alerts as data, by whom they are about."""

from typing import Final

from tools.monitoring.alerts import of_hubs, of_jobs, of_operators
from tools.monitoring.alerts.alert import Alert, Group

GROUPS: Final[tuple[Group, ...]] = (
    Group("atoll-operator", of_operators.ALERTS),
    Group("atoll-jobs", of_jobs.ALERTS),
    Group("atoll-hubs", of_hubs.ALERTS),
)
ALL: Final[tuple[Alert, ...]] = tuple(alert for group in GROUPS for alert in group.alerts)
