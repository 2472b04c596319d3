"""Alerts about the operator."""

from typing import Final

from tools.monitoring.alerts.alert import Alert

_REFUSED: Final = "0|401|403|429|5.."

ALERTS: Final = (
    Alert(
        name="AtollNoLeader",
        severity="critical",
        expr="sum by (namespace) (atoll_operator_leader) == 0\n"
        "or\n"
        "(sum by (namespace) (max_over_time(atoll_operator_leader[1d])) * 0\n"
        "  unless sum by (namespace) (atoll_operator_leader))",
        hold="2m",
        summary="No operator leads: nothing is started or restarted.",
        description="No replica in {{ $labels.namespace }} has said for 2 minutes that it leads. What "
        "runs goes on; jobs are not looked at.",
    ),
    Alert(
        name="AtollReconcileErrors",
        severity="warning",
        expr='sum by (namespace) (rate(atoll_operator_reconcile_total{result="error"}[10m]))\n'
        "  / sum by (namespace) (rate(atoll_operator_reconcile_total[10m])) > 0.1",
        hold="10m",
        summary="More than a tenth of the operator's passes fail.",
        description="{{ $value | humanizePercentage }} of the passes of the operator in "
        "{{ $labels.namespace }} failed in the last 10 minutes.",
    ),
    Alert(
        name="AtollPassHangs",
        severity="warning",
        expr="max by (namespace, pod) (atoll_operator_workqueue_longest_running_seconds) > 300",
        hold="5m",
        summary="A pass over a job does not end.",
        description="{{ $labels.pod }} in {{ $labels.namespace }} has been at one job for "
        "{{ $value | humanizeDuration }}.",
    ),
    Alert(
        name="AtollWatchStale",
        severity="warning",
        expr="max by (namespace, pod, resource) (atoll_operator_watch_age_seconds) > 300",
        hold="5m",
        summary="A watch of the operator is dead: it sees the past.",
        description="{{ $labels.pod }} in {{ $labels.namespace }} has heard nothing of "
        "{{ $labels.resource }} for {{ $value | humanizeDuration }}; a bookmark comes every minute.",
    ),
    Alert(
        name="AtollApiErrors",
        severity="warning",
        expr="sum by (namespace)"
        f' (rate(atoll_operator_api_requests_total{{code=~"{_REFUSED}"}}[10m]))\n'
        "  / sum by (namespace) (rate(atoll_operator_api_requests_total[10m])) > 0.05",
        hold="10m",
        summary="The API server refuses the operator, or does not answer.",
        description="{{ $value | humanizePercentage }} of the requests of the operator in "
        "{{ $labels.namespace }} were refused, throttled or not answered in the last 10 minutes.",
    ),
    Alert(
        name="AtollRestartStorm",
        severity="warning",
        expr="sum by (namespace, reason)"
        ' (increase(atoll_operator_island_restarts_total{reason=~"Error|OOMKilled"}[15m])) > 20',
        hold="5m",
        summary="Islands of many jobs start again and again.",
        description="{{ $value | humanize }} restarts in 15 minutes because of {{ $labels.reason }}, "
        "over all jobs of the operator in {{ $labels.namespace }}.",
    ),
)
