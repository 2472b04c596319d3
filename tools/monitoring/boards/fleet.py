"""All jobs of a cluster at a glance."""

from typing import Final

from tools.monitoring.board import Board, Choice, Section
from tools.monitoring.boards.chosen import quantiles
from tools.monitoring.views import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    Column,
    Curves,
    Number,
    Query,
    Table,
    Text,
)

_HERE: Final = 'namespace=~"$namespace"'
_JOB: Final = "max by (namespace, trainingjob)"
_HOUR: Final = "1h"

_WORDS: Final = """\
**Every TrainingJob of this cluster.** A job is many *islands* that train alone; its hub keeps what they \
make. Begin with the table: a name in it opens the page of that job. Numbers of jobs come from the \
operator, curves of training from the hubs. What an alert means is in `docs/runbooks/`.
"""

_NOW: Final = Section(
    "Now",
    (
        Text(title="", words=_WORDS),
        Number(
            title="Jobs",
            about="Jobs by their state, as the leading operator sees them.",
            unit="none",
            queries=(
                Query(
                    "sum by (state) (atoll_operator_trainingjobs) > 0",
                    "{{state}}",
                ),
            ),
            limits=((0, BLUE),),
            spark=False,
            width=12,
        ),
        Number(
            title="Operators that lead",
            about="One leads, the others wait. With none nothing is started or restarted; what runs "
            "goes on.",
            unit="none",
            queries=(Query("sum(atoll_operator_leader)"),),
            limits=((0, RED), (1, GREEN), (2, ORANGE)),
            spark=False,
            width=3,
        ),
        Number(
            title="Islands at work",
            about="Islands that train now, in all jobs.",
            unit="none",
            queries=(
                Query(
                    "sum(max by (namespace, trainingjob) "
                    f'(kube_atoll_trainingjob_islands{{{_HERE}, state="Running"}}))'
                ),
            ),
            limits=((0, BLUE),),
            width=3,
        ),
        Number(
            title="Jobs that failed",
            about="In the time that is shown.",
            unit="none",
            queries=(
                Query(
                    "round(sum(increase(atoll_operator_trainingjobs_finished_total"
                    '{result="Failed"}[$__range]))) or vector(0)'
                ),
            ),
            limits=((0.5, RED),),
            spark=False,
            width=3,
        ),
        Number(
            title="Alerts",
            about="Alerts of Atoll that fire now. Their runbooks are in docs/runbooks.",
            unit="none",
            queries=(
                Query(
                    'count(ALERTS{alertname=~"Atoll.+", alertstate="firing"}) or vector(0)',
                ),
            ),
            limits=((1, RED),),
            spark=False,
            width=3,
        ),
    ),
)

_JOBS: Final = Section(
    "Jobs",
    (
        Table(
            title="Every job",
            about="As the operator saw it last. Degraded: islands were lost, and the job goes on.",
            columns=(
                Column(
                    "info",
                    f"max by (namespace, trainingjob, strategy) (kube_atoll_trainingjob_info{{{_HERE}}})",
                    "none",
                ),
                Column(
                    "is",
                    "max by (namespace, trainingjob, state) "
                    f"(kube_atoll_trainingjob_state{{{_HERE}}} == 1)",
                    "none",
                ),
                Column(
                    "progress",
                    f"{_JOB} (kube_atoll_trainingjob_progress_ratio{{{_HERE}}})",
                    "percentunit",
                ),
                Column(
                    "islands at work",
                    f'{_JOB} (kube_atoll_trainingjob_islands{{{_HERE}, state="Running"}})',
                    "none",
                ),
                Column(
                    "restarts",
                    f"{_JOB} (kube_atoll_trainingjob_island_restarts{{{_HERE}}})",
                    "none",
                    ((1, YELLOW), (10, RED)),
                ),
                Column(
                    "degraded",
                    f"{_JOB} (kube_atoll_trainingjob_status_condition"
                    f'{{{_HERE}, condition="Degraded", status="true"}})',
                    "none",
                    ((1, RED),),
                ),
                Column("age", f"time() - {_JOB} (kube_atoll_trainingjob_created{{{_HERE}}})", "s"),
            ),
            labels=(
                ("trainingjob", "job"),
                ("namespace", "namespace"),
                ("state", "state"),
                ("strategy", "strategy"),
            ),
            sort="age",
            hidden=("info", "is"),
            link=(
                "job",
                "/d/atoll-job?var-namespace=${__data.fields.namespace}&var-job=${__data.fields.job}",
            ),
        ),
        Curves(
            title="Jobs by state",
            about="How many jobs are in which state. Pending that grows: the cluster is full, or a "
            "queue holds them.",
            unit="none",
            queries=(Query("sum by (state) (atoll_operator_trainingjobs)", "{{state}}"),),
            stacked=True,
            low=0,
        ),
        Curves(
            title="Islands by state",
            about="Of all jobs together. Waiting: what they need is not there yet; Pending: started, "
            "but not a word from them.",
            unit="none",
            queries=(
                Query(
                    "sum by (state) (max by (namespace, trainingjob, state) "
                    f"(kube_atoll_trainingjob_islands{{{_HERE}}}))",
                    "{{state}}",
                ),
            ),
            stacked=True,
            low=0,
        ),
        Curves(
            title="Progress",
            about="How much of its work each job has done.",
            unit="percentunit",
            queries=(
                Query(
                    f"{_JOB} (kube_atoll_trainingjob_progress_ratio{{{_HERE}}})",
                    "{{namespace}}/{{trainingjob}}",
                ),
            ),
            low=0,
            high=1,
        ),
    ),
)

_START: Final = quantiles("atoll_operator_trainingjob_start_seconds_bucket", window=_HOUR)
_RECOVERY: Final = quantiles("atoll_operator_island_recovery_seconds_bucket", window=_HOUR)
_MERGE: Final = quantiles("atoll_operator_merge_duration_seconds_bucket", window=_HOUR)
_LENGTH: Final = quantiles(
    "atoll_operator_trainingjob_duration_seconds_bucket", by="result", window="1d"
)

_LIFE: Final = Section(
    "How jobs fare",
    (
        Curves(
            title="From creation to the first step at work",
            about="Of the jobs of the hour before. Mostly images and room on nodes.",
            unit="s",
            queries=(Query(_START[0], "median"), Query(_START[1], "90 %")),
            limits=((300, ORANGE),),
            low=0,
        ),
        Curves(
            title="From the end of an island's attempt to the next at work",
            about="Of the hour before. What a restart costs beside the work since the last checkpoint.",
            unit="s",
            queries=(Query(_RECOVERY[0], "median"), Query(_RECOVERY[1], "90 %")),
            limits=((300, ORANGE),),
            low=0,
        ),
        Curves(
            title="Restarts of islands",
            about="In each hour, by reason. Disrupted: moved or evicted, which costs the job no "
            "restart; OOMKilled: it took more memory than its limit.",
            unit="none",
            queries=(
                Query(
                    "sum by (reason) (increase(atoll_operator_island_restarts_total[1h]))",
                    "{{reason}}",
                ),
            ),
            limits=((10, ORANGE),),
            low=0,
        ),
        Curves(
            title="Jobs that ended",
            about="In each hour, by how and why: reasons are in docs/troubleshooting.md.",
            unit="none",
            queries=(
                Query(
                    "sum by (result, reason) "
                    "(increase(atoll_operator_trainingjobs_finished_total[1h]))",
                    "{{result}}: {{reason}}",
                ),
            ),
            low=0,
        ),
        Curves(
            title="How long jobs took",
            about="From creation to end, of the jobs that ended in the day before.",
            unit="s",
            queries=(
                Query(_LENGTH[0], "{{result}}, median"),
                Query(_LENGTH[1], "{{result}}, 90 %"),
            ),
            low=0,
        ),
        Curves(
            title="Making one model of the islands",
            about="Seconds of the merge step, of the hour before.",
            unit="s",
            queries=(Query(_MERGE[0], "median"), Query(_MERGE[1], "90 %")),
            low=0,
        ),
    ),
)

_BY_JOB: Final = "sum by (namespace, trainingjob)"
_NAMED: Final = "{{namespace}}/{{trainingjob}}"

_WORK: Final = Section(
    "What they do",
    (
        Curves(
            title="Samples",
            about="Samples trained on each second, by job; repeats count.",
            unit="suffix: /s",
            queries=(
                Query(
                    f"{_BY_JOB} (rate(atoll_reported_train_samples_total{{{_HERE}}}[$__rate_interval]))",
                    _NAMED,
                ),
            ),
            low=0,
        ),
        Curves(
            title="Tokens",
            about="Tokens trained on each second, by job; 0 for data that are no text.",
            unit="suffix: /s",
            queries=(
                Query(
                    f"{_BY_JOB} (rate(atoll_reported_train_tokens_total{{{_HERE}}}[$__rate_interval]))",
                    _NAMED,
                ),
            ),
            low=0,
        ),
        Curves(
            title="Bytes exchanged",
            about="Weights and other artifacts that the steps of each job sent and received, each "
            "second.",
            unit="Bps",
            queries=(
                Query(
                    f"{_BY_JOB} (rate(atoll_reported_comm_bytes_total{{{_HERE}}}[$__rate_interval]))",
                    _NAMED,
                ),
            ),
            low=0,
        ),
        Curves(
            title="GPUs at work",
            about="GPU seconds a second: how many GPUs train, by job. Empty without GPUs.",
            unit="none",
            queries=(
                Query(
                    f"{_BY_JOB} (rate(atoll_reported_gpu_seconds_total{{{_HERE}}}[$__rate_interval]))",
                    _NAMED,
                ),
            ),
            low=0,
            width=12,
        ),
        Curves(
            title="Versions",
            about="Processes of jobs by the version of Atoll that they run.",
            unit="none",
            queries=(Query(f"count by (version) (atoll_build_info{{{_HERE}}})", "{{version}}"),),
            stacked=True,
            low=0,
            width=12,
        ),
    ),
)

BOARD: Final = Board(
    uid="atoll-fleet",
    title="Atoll / Fleet",
    about="All TrainingJobs of a cluster: what state they are in, how they fare, what they do.",
    choices=(
        Choice(
            "namespace",
            "Namespace",
            "label_values(atoll_reported_train_steps_total, namespace)",
            several=True,
        ),
    ),
    sections=(_NOW, _JOBS, _LIFE, _WORK),
    since="now-6h",
)
