"""How the operator does: who leads, passes, queue, API server, watches."""

from typing import Final

from tools.monitoring.board import Board, Choice, Section
from tools.monitoring.boards.chosen import quantiles
from tools.monitoring.views import (
    GREEN,
    ORANGE,
    RED,
    Column,
    Curves,
    Heat,
    Number,
    Query,
    Rows,
    Table,
    Text,
)

_POD: Final = 'namespace="$namespace", pod=~"$pod"'
_ALL: Final = 'namespace="$namespace"'
_RATE: Final = "[$__rate_interval]"

_WORDS: Final = """\
**The operator looks at a job, decides, and acts: that is a pass.** One replica leads and works, the others \
wait. Healthy: one leader, no errors, an empty queue, watches that spoke within a minute or two. While it is \
down, what runs goes on; nothing is started or restarted.
"""

_ERRORS: Final = (
    f'sum(rate(atoll_operator_reconcile_total{{{_ALL}, result="error"}}{_RATE})) '
    f"/ sum(rate(atoll_operator_reconcile_total{{{_ALL}}}{_RATE}))"
)

_NOW: Final = Section(
    "Now",
    (
        Text(title="", words=_WORDS),
        Number(
            title="Leaders",
            about="One is right. None: nobody works. Two for more than some seconds: clocks, or two "
            "releases on the same namespaces.",
            unit="none",
            queries=(Query(f"sum(atoll_operator_leader{{{_ALL}}})"),),
            limits=((0, RED), (1, GREEN), (2, RED)),
            spark=False,
        ),
        Number(
            title="Passes that failed",
            about="Of all passes. Each is tried again, later and later.",
            unit="percentunit",
            queries=(Query(_ERRORS),),
            limits=((0.01, ORANGE), (0.1, RED)),
        ),
        Number(
            title="Jobs that wait for a pass",
            about="More than a few for long: too few workers (`concurrency`), or a slow API server.",
            unit="none",
            queries=(Query(f"sum(atoll_operator_workqueue_depth{{{_ALL}}})"),),
            limits=((100, ORANGE), (1000, RED)),
        ),
        Number(
            title="Longest pass",
            about="How long the pass that is longest at work lasts by now.",
            unit="s",
            queries=(Query(f"max(atoll_operator_workqueue_longest_running_seconds{{{_ALL}}})"),),
            limits=((60, ORANGE), (300, RED)),
        ),
        Number(
            title="Oldest word of a watch",
            about="A bookmark comes every minute: more than five is a watch that is dead.",
            unit="s",
            queries=(Query(f"max(atoll_operator_watch_age_seconds{{{_ALL}}})"),),
            limits=((120, ORANGE), (300, RED)),
        ),
        Number(
            title="Hubs that did not answer",
            about="Of the questions to hubs how far their jobs are. A hub that starts or is replaced "
            "answers later.",
            unit="percentunit",
            queries=(
                Query(
                    f'sum(rate(atoll_operator_hub_polls_total{{{_ALL}, result="error"}}{_RATE})) '
                    f"/ sum(rate(atoll_operator_hub_polls_total{{{_ALL}}}{_RATE}))"
                ),
            ),
            limits=((0.1, ORANGE), (0.5, RED)),
        ),
        Rows(
            title="Who leads",
            about="A change of leader takes about ten seconds.",
            unit="none",
            queries=(Query(f"max by (pod) (atoll_operator_leader{{{_ALL}}})", "{{pod}}"),),
            words=(("0", "waits", "#8d99ae"), ("1", "leads", GREEN)),
            width=16,
            height=6,
        ),
        Table(
            title="Replicas",
            about="Each with its version and what it takes.",
            columns=(
                Column(
                    "is",
                    f"max by (pod, version) (atoll_operator_build_info{{{_ALL}}})",
                    "none",
                ),
                Column("leads", f"max by (pod) (atoll_operator_leader{{{_ALL}}})", "none"),
            ),
            labels=(("pod", "replica"), ("version", "version")),
            hidden=("is",),
            width=8,
            height=6,
        ),
    ),
)

_PASS: Final = quantiles(f"atoll_operator_reconcile_duration_seconds_bucket{{{_POD}}}")
_WAIT: Final = quantiles(f"atoll_operator_workqueue_wait_seconds_bucket{{{_POD}}}")

_PASSES: Final = Section(
    "Passes",
    (
        Curves(
            title="Passes",
            about="Each second, by how they ended.",
            unit="suffix: /s",
            queries=(
                Query(
                    f"sum by (result) (rate(atoll_operator_reconcile_total{{{_POD}}}{_RATE}))",
                    "{{result}}",
                ),
                Query(
                    f"sum(rate(atoll_operator_workqueue_retries_total{{{_POD}}}{_RATE}))",
                    "repeated",
                ),
            ),
            low=0,
        ),
        Curves(
            title="How long a pass takes",
            about="A pass asks the API server for little; most take milliseconds.",
            unit="s",
            queries=(Query(_PASS[0], "median"), Query(_PASS[1], "90 %")),
            limits=((3, ORANGE),),
            low=0,
        ),
        Heat(
            title="Passes by their length",
            about="How many took how long; a second band above is one kind of job that is slow.",
            unit="s",
            queries=(
                Query(
                    "sum by (le) "
                    f"(increase(atoll_operator_reconcile_duration_seconds_bucket{{{_POD}}}{_RATE}))",
                    "{{le}}",
                ),
            ),
        ),
        Curves(
            title="Queue",
            about="Jobs that wait for a pass, and those in one.",
            unit="none",
            queries=(
                Query(f"sum(atoll_operator_workqueue_depth{{{_POD}}})", "wait"),
                Query(f"sum(atoll_operator_workqueue_working{{{_POD}}})", "in a pass"),
            ),
            limits=((100, ORANGE),),
            low=0,
        ),
        Curves(
            title="Wait for a pass",
            about="From the moment that a job is known to need a pass to its begin.",
            unit="s",
            queries=(Query(_WAIT[0], "median"), Query(_WAIT[1], "90 %")),
            limits=((10, ORANGE),),
            low=0,
        ),
        Curves(
            title="Longest pass at work",
            about="A pass that does not end holds its job, and no other.",
            unit="s",
            queries=(
                Query(
                    f"max by (pod) (atoll_operator_workqueue_longest_running_seconds{{{_POD}}})",
                    "{{pod}}",
                ),
            ),
            limits=((60, ORANGE), (300, RED)),
            low=0,
        ),
    ),
)

_ANSWER: Final = quantiles(
    f"atoll_operator_api_request_duration_seconds_bucket{{{_POD}}}", by="verb"
)

_API: Final = Section(
    "API server",
    (
        Curves(
            title="Requests by code",
            about="Each second. 404 and 409 are part of the work; 403 is a right that is missing, 0 no "
            "answer at all.",
            unit="suffix: /s",
            queries=(
                Query(
                    f"sum by (code) (rate(atoll_operator_api_requests_total{{{_POD}}}{_RATE}))",
                    "{{code}}",
                ),
            ),
            stacked=True,
            low=0,
        ),
        Curves(
            title="Requests by what is asked",
            about="Each second, the ten most frequent.",
            unit="suffix: /s",
            queries=(
                Query(
                    "topk(10, sum by (verb, resource) "
                    f"(rate(atoll_operator_api_requests_total{{{_POD}}}{_RATE})))",
                    "{{verb}} {{resource}}",
                ),
            ),
            low=0,
        ),
        Curves(
            title="Until the API server answers",
            about="90 % of the requests are faster; of a watch, until it begins.",
            unit="s",
            queries=(Query(_ANSWER[1], "{{verb}}"),),
            limits=((1, ORANGE),),
            low=0,
        ),
        Curves(
            title="Age of the last word of each watch",
            about="The cluster tells of changes, and every minute that there are none. Above five "
            "minutes the operator sees the past.",
            unit="s",
            queries=(
                Query(
                    f"max by (resource) (atoll_operator_watch_age_seconds{{{_POD}}})",
                    "{{resource}}",
                ),
            ),
            limits=((120, ORANGE), (300, RED)),
            low=0,
        ),
        Curves(
            title="Questions to hubs",
            about="Each second, by how they ended.",
            unit="suffix: /s",
            queries=(
                Query(
                    f"sum by (result) (rate(atoll_operator_hub_polls_total{{{_POD}}}{_RATE}))",
                    "{{result}}",
                ),
            ),
            low=0,
        ),
        Curves(
            title="CPU",
            about="Cores that each replica takes. The chart sets no limit on CPU.",
            unit="none",
            queries=(
                Query(
                    "sum by (pod) (rate(process_cpu_seconds_total"
                    f'{{{_POD}, trainingjob=""}}{_RATE}))',
                    "{{pod}}",
                ),
            ),
            low=0,
            width=4,
        ),
        Curves(
            title="Memory",
            about="What each replica holds; the chart's limit is 1 GiB.",
            unit="bytes",
            queries=(
                Query(
                    f'max by (pod) (process_resident_memory_bytes{{{_POD}, trainingjob=""}})',
                    "{{pod}}",
                ),
            ),
            limits=((2**30, RED),),
            low=0,
            width=4,
        ),
    ),
)

BOARD: Final = Board(
    uid="atoll-operator",
    title="Atoll / Operator",
    about="How the operator does: who leads, passes over jobs, its queue, the API server, watches.",
    choices=(
        Choice("namespace", "Namespace", "label_values(atoll_operator_leader, namespace)"),
        Choice(
            "pod",
            "Replica",
            'label_values(atoll_operator_leader{namespace="$namespace"}, pod)',
            several=True,
        ),
    ),
    sections=(_NOW, _PASSES, _API),
)
