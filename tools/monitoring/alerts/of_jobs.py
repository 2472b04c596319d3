"""Alerts about jobs: their state as the operator sees it, and their training as the hub heard it.

The hub goes on to say what a step said last, long after that step has ended: what is asked of
running steps asks for a word within the last two minutes too.
"""

from typing import Final

from tools.monitoring.alerts.alert import Alert

_JOB: Final = "namespace, trainingjob"
_STEP: Final = "namespace, trainingjob, step"
_HERE: Final = "{{ $labels.namespace }}/{{ $labels.trainingjob }}"
_AT_WORK: Final = (
    f"and on ({_STEP}) (time() - atoll_hub_last_report_timestamp_seconds < 120)\n"
    f"and on ({_STEP}) (atoll_reported_train_steps_total < atoll_reported_train_target_steps)"
)
_SAVED: Final = "atoll_reported_checkpoint_last_success_timestamp_seconds"
_BEGAN: Final = "atoll_reported_train_start_timestamp_seconds"
_LOSS: Final = 'avg_over_time(atoll_reported_train_loss{split="train"}[10m])'


def _lately(series: str) -> str:
    """How much a counter grew in an hour; all of it where it is younger: it may have begun above 0."""
    return f"({series} - ({series} offset 1h or {series} * 0)) > 0"


_BYTES: Final = 'atoll_reported_comm_bytes_total{phase="training", peer=~"island|other"}'
_SOCKETS: Final = 'atoll_reported_socket_bytes_total{peer=~"island|other"}'
_ISOLATED: Final = f"and on ({_STEP}) (atoll_reported_train_isolated == 1)"

ALERTS: Final = (
    Alert(
        name="AtollJobPending",
        severity="warning",
        expr=f'max by ({_JOB}) (kube_atoll_trainingjob_state{{state="Pending"}}) == 1',
        hold="30m",
        summary="A job does not begin.",
        description=f"{_HERE} has been pending for more than 30 minutes.",
    ),
    Alert(
        name="AtollIslandsPending",
        severity="warning",
        expr=f'max by ({_JOB}) (kube_atoll_trainingjob_islands{{state="Pending"}}) > 0',
        hold="30m",
        summary="Islands of a job do not begin.",
        description=f"{{{{ $value }}}} islands of {_HERE} were started more than 30 minutes ago and "
        "have not said a word.",
    ),
    Alert(
        name="AtollJobDegraded",
        severity="warning",
        expr=f"max by ({_JOB}) (kube_atoll_trainingjob_status_condition"
        '{condition="Degraded", status="true"}) == 1\n'
        f"unless on ({_JOB}) max by ({_JOB}) (kube_atoll_trainingjob_state"
        '{state=~"Complete|Failed"}) == 1',
        hold="1m",
        summary="A job goes on without some of its islands.",
        description=f"{_HERE} has lost islands for good; its quorum holds.",
    ),
    Alert(
        name="AtollJobFailed",
        severity="info",
        expr=f'max by ({_JOB}) (kube_atoll_trainingjob_state{{state="Failed"}}) == 1\n'
        f"unless on ({_JOB}) max by ({_JOB})"
        ' (kube_atoll_trainingjob_state{state="Failed"} offset 1h) == 1',
        hold="0m",
        summary="A job has failed.",
        description=f"{_HERE} failed in the last hour.",
    ),
    Alert(
        name="AtollJobRestartStorm",
        severity="warning",
        expr=f"max by ({_JOB}) (delta(kube_atoll_trainingjob_island_restarts[15m])) > 3\n"
        f"and on ({_JOB})\n"
        f"max by ({_JOB}) (delta(kube_atoll_trainingjob_island_restarts[15m]))\n"
        f"  > 0.1 * sum by ({_JOB})"
        f" (max by ({_JOB}, state) (kube_atoll_trainingjob_islands))",
        hold="5m",
        summary="Islands of a job start again and again.",
        description=f"{{{{ $value | humanize }}}} restarts of islands of {_HERE} in 15 minutes.",
    ),
    Alert(
        name="AtollTrainingStalls",
        severity="warning",
        expr="increase(atoll_reported_train_steps_total[15m]) == 0\n"
        f"and on ({_STEP}) (atoll_reported_train_steps_total offset 15m > 0)\n"
        f"{_AT_WORK}",
        hold="5m",
        summary="A step is alive and does not train.",
        description=f"{{{{ $labels.step }}}} of {_HERE} has reported, but done no optimizer step for 15 "
        "minutes.",
    ),
    Alert(
        name="AtollCheckpointTooOld",
        severity="warning",
        expr=f"time() - (({_SAVED} > {_BEGAN} or {_BEGAN}) > 0)\n"
        "  > 3 * atoll_reported_checkpoint_interval_seconds + 120\n"
        f"{_AT_WORK}",
        hold="2m",
        summary="A step trains and saves nothing.",
        description=f"{{{{ $labels.step }}}} of {_HERE} would lose "
        "{{ $value | humanizeDuration }} of work: three checkpoints were due since.",
    ),
    Alert(
        name="AtollCheckpointsFail",
        severity="warning",
        expr='increase(atoll_reported_checkpoints_total{result="error"}[15m]) > 1.5',
        hold="0m",
        summary="Checkpoints cannot be saved.",
        description=f"{{{{ $value | humanize }}}} checkpoints of {{{{ $labels.step }}}} of {_HERE} "
        "failed in 15 minutes.",
    ),
    Alert(
        name="AtollLossNotFinite",
        severity="critical",
        expr=_lately("atoll_reported_train_loss_not_finite_total"),
        hold="0m",
        summary="A loss or a weight is NaN or infinite.",
        description=f"{{{{ $labels.step }}}} of {_HERE} found it in the last hour, "
        "{{ $value }} times; each time the step fails and starts from its last checkpoint.",
    ),
    Alert(
        name="AtollLossDiverges",
        severity="warning",
        expr=f"{_LOSS}\n  > 2 * (min_over_time(({_LOSS})[2h:1m]) > 0)\n{_AT_WORK}",
        hold="5m",
        summary="A loss climbs.",
        description=f"The loss of {{{{ $labels.step }}}} of {_HERE} is {{{{ $value | humanize }}}}, "
        "more than twice what it was within the last two hours.",
    ),
    Alert(
        name="AtollBytesInIsolation",
        severity="critical",
        expr=f"(({_lately(_BYTES)})\nor ({_lately(_SOCKETS)}))\n{_ISOLATED}",
        hold="0m",
        summary="An isolated island spoke with somebody beside its hub while it trained.",
        description=f"{{{{ $labels.step }}}} of {_HERE} {{{{ $labels.direction }}}} "
        "{{ $value | humanize1024 }}B; the other end is: {{ $labels.peer }}.",
    ),
)
