"""Alerts about hubs, certificates and targets that do not answer."""

from typing import Final

from tools.monitoring.alerts.alert import Alert

_JOB: Final = "namespace, trainingjob"
_HERE: Final = "{{ $labels.namespace }}/{{ $labels.trainingjob }}"

ALERTS: Final = (
    Alert(
        name="AtollHubQuotaNearlyFull",
        severity="warning",
        expr="atoll_hub_store_bytes / (atoll_hub_store_quota_bytes > 0) > 0.9",
        hold="5m",
        summary="The hub of a job may soon hold no more.",
        description=f"The hub of {_HERE} holds {{{{ $value | humanizePercentage }}}} of its quota.",
    ),
    Alert(
        name="AtollHubDiskNearlyFull",
        severity="warning",
        expr="atoll_hub_disk_free_bytes / (atoll_hub_disk_size_bytes > 0) < 0.1",
        hold="5m",
        summary="The disk of a hub is nearly full.",
        description=f"The disk below the store of {_HERE} has {{{{ $value | humanizePercentage }}}} "
        "left.",
    ),
    Alert(
        name="AtollCertificateExpires",
        severity="warning",
        expr=f"min by ({_JOB}, role) "
        "((atoll_certificate_expiry_timestamp_seconds > 0) - time()) < 14 * 86400",
        hold="1h",
        summary="A certificate of a running job ends soon.",
        description=f"The certificate of a process of {_HERE} ({{{{ $labels.role }}}}) ends in "
        "{{ $value | humanizeDuration }}.",
    ),
    Alert(
        name="AtollTargetDown",
        severity="warning",
        expr='up{trainingjob!="", role=~"hub|island"} == 0',
        hold="5m",
        summary="Prometheus does not reach a process of a job.",
        description=f"{{{{ $labels.instance }}}} ({{{{ $labels.role }}}} of {_HERE}) has not answered "
        "Prometheus for 5 minutes.",
    ),
    Alert(
        name="AtollHubNotScraped",
        severity="warning",
        expr=f'max by ({_JOB}) (kube_atoll_trainingjob_state{{state=~"Running|Merging|Evaluating"}}) == 1\n'
        f"unless on ({_JOB}) atoll_hub_artifacts\n"
        "and on () (count(max_over_time(atoll_hub_artifacts[1d])) > 0)",
        hold="10m",
        summary="Nobody sees what a running job does.",
        description=f"{_HERE} runs, and Prometheus has no series of its hub; those of other jobs it "
        "had within a day.",
    ),
)
