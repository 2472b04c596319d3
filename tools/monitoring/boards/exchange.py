"""What passes between the processes of a job, and what its hub holds."""

from typing import Final

from tools.monitoring.board import Board, Section
from tools.monitoring.boards.chosen import ISLANDS, OF_JOB, ONE_JOB, PODS, quantiles
from tools.monitoring.views import (
    BLUE,
    ORANGE,
    RED,
    Column,
    Curves,
    Heat,
    Number,
    Query,
    Table,
    Text,
)

_RATE: Final = "[$__rate_interval]"
_HUB: Final = OF_JOB

_WORDS: Final = """\
**What islands give each other, and what the hub keeps.** Phases: *setup* before and after training, *training* \
between two exchanges, *exchange* while an island merges with its neighbours. Islands of an ensemble are isolated: \
while they train only the hub may be at the other end, for checkpoints. *Sockets* is what the kernel counted, to \
check what the program believes.
"""


def _moved(chosen: str, phase: str, direction: str = "sent") -> str:
    labels = f'{ISLANDS}, phase="{phase}", peer=~"{chosen}", direction="{direction}"'
    return f"sum by (step) (atoll_reported_comm_bytes_total{{{labels}}})"


_NOW: Final = Section(
    "Now",
    (
        Text(title="", words=_WORDS),
        Number(
            title="Store",
            about="Bytes that the hub holds, beside the most that it may.",
            unit="bytes",
            queries=(Query(f"max(atoll_hub_store_bytes{{{_HUB}}})"),),
            limits=((0, BLUE),),
        ),
        Number(
            title="Quota in use",
            about="Of `artifacts.quota`. At the end of it nothing can be saved: exit code 74.",
            unit="percentunit",
            queries=(
                Query(
                    f"max(atoll_hub_store_bytes{{{_HUB}}}) "
                    f"/ (max(atoll_hub_store_quota_bytes{{{_HUB}}}) > 0)"
                ),
            ),
            limits=((0.8, ORANGE), (0.9, RED)),
            low=0,
            high=1,
        ),
        Number(
            title="Disk in use",
            about="Of the disk below the store; a bucket has none.",
            unit="percentunit",
            queries=(
                Query(
                    f"1 - max(atoll_hub_disk_free_bytes{{{_HUB}}}) "
                    f"/ max(atoll_hub_disk_size_bytes{{{_HUB}}})"
                ),
            ),
            limits=((0.8, ORANGE), (0.9, RED)),
            low=0,
            high=1,
        ),
        Number(
            title="Artifacts",
            about="Refs that are bound: checkpoints, snapshots, experts...",
            unit="none",
            queries=(Query(f"max(atoll_hub_artifacts{{{_HUB}}})"),),
            limits=((0, BLUE),),
        ),
        Number(
            title="Uploads",
            about="Under way now. Two move bytes at once, the others wait in line.",
            unit="none",
            queries=(Query(f"max(atoll_hub_uploads{{{_HUB}}})"),),
            limits=((0, BLUE), (100, ORANGE)),
        ),
        Number(
            title="Certificates end in",
            about="The first one of the job's processes. They last a year and are not renewed while a "
            "job runs.",
            unit="s",
            queries=(
                Query(f"min((atoll_certificate_expiry_timestamp_seconds{{{_HUB}}} > 0) - time())"),
            ),
            limits=((-1e12, RED), (14 * 86400, ORANGE), (30 * 86400, "green")),
            spark=False,
        ),
    ),
)

_BYTES: Final = Section(
    "Bytes",
    (
        Curves(
            title="By phase",
            about="Weights and other artifacts each second, of the chosen islands.",
            unit="Bps",
            queries=(
                Query(
                    "sum by (phase, direction) "
                    f"(rate(atoll_reported_comm_bytes_total{{{ISLANDS}}}{_RATE}))",
                    "{{phase}}, {{direction}}",
                ),
            ),
            stacked=True,
            low=0,
        ),
        Curves(
            title="By who is at the other end",
            about="Each second. `island` while training, where the job isolates, is an alert.",
            unit="Bps",
            queries=(
                Query(
                    "sum by (peer, direction) "
                    f"(rate(atoll_reported_comm_bytes_total{{{ISLANDS}}}{_RATE}))",
                    "{{peer}}, {{direction}}",
                ),
            ),
            stacked=True,
            low=0,
        ),
        Curves(
            title="On the sockets, while training",
            about="What the kernel counted, with progress, retries and TLS: a little more than the "
            "artifacts.",
            unit="Bps",
            queries=(
                Query(
                    "sum by (peer, direction) "
                    f"(rate(atoll_reported_socket_bytes_total{{{ISLANDS}}}{_RATE}))",
                    "{{peer}}, {{direction}}",
                ),
            ),
            stacked=True,
            low=0,
        ),
        Table(
            title="What each island sent and received",
            about="In all its attempts. Isolated: it may exchange nothing with other islands while it "
            "trains.",
            columns=(
                Column(
                    "isolated",
                    f"max by (step) (atoll_reported_train_isolated{{{ISLANDS}}})",
                    "none",
                ),
                Column("to the hub, training", _moved("hub", "training"), "bytes"),
                Column("to others, training", _moved("island|other", "training"), "bytes"),
                Column("sent, exchange", _moved(".+", "exchange"), "bytes"),
                Column("received, exchange", _moved(".+", "exchange", "received"), "bytes"),
                Column("sent, setup", _moved(".+", "setup"), "bytes"),
                Column("received, setup", _moved(".+", "setup", "received"), "bytes"),
                Column(
                    "sockets to others, training",
                    "sum by (step) (atoll_reported_socket_bytes_total"
                    f'{{{ISLANDS}, peer=~"island|other", direction="sent"}})',
                    "bytes",
                ),
            ),
            labels=(("step", "island"),),
            sort="to the hub, training",
        ),
    ),
)

_CALL: Final = quantiles(
    f'atoll_rpc_duration_seconds_bucket{{{OF_JOB}, side="client", method!="Watch"}}', by="method"
)

_CALLS: Final = Section(
    "Calls",
    (
        Curves(
            title="Time of a call",
            about="90 % of the calls of a method are faster, seen by who calls. Publish and Fetch move "
            "bytes: the larger the model, the longer.",
            unit="s",
            queries=(Query(_CALL[1], "{{method}}"),),
            low=0,
        ),
        Heat(
            title="Calls by their time",
            about="All methods but Watch, seen by who calls.",
            unit="s",
            queries=(
                Query(
                    "sum by (le) (increase(atoll_rpc_duration_seconds_bucket"
                    f'{{{OF_JOB}, side="client", method!="Watch"}}{_RATE}))',
                    "{{le}}",
                ),
            ),
        ),
        Curves(
            title="Calls that failed",
            about="Each second. UNAVAILABLE and ABORTED are tried again; PERMISSION_DENIED, DATA_LOSS "
            "and RESOURCE_EXHAUSTED are somebody's to mend.",
            unit="suffix: /s",
            queries=(
                Query(
                    "sum by (method, code) (rate(atoll_rpc_duration_seconds_count"
                    f'{{{OF_JOB}, side="client", code!="OK"}}{_RATE})) > 0',
                    "{{method}} {{code}}",
                ),
            ),
            limits=((1, ORANGE),),
            low=0,
        ),
        Curves(
            title="Calls to the hub",
            about="Each second, as the hub counts them, by method.",
            unit="suffix: /s",
            queries=(
                Query(
                    "sum by (method) (rate(atoll_rpc_duration_seconds_count"
                    f'{{{OF_JOB}, side="server", role="hub"}}{_RATE}))',
                    "{{method}}",
                ),
            ),
            low=0,
        ),
        Curves(
            title="Time that a call takes at the hub",
            about="Mean by method: what of the time above is the hub's.",
            unit="s",
            queries=(
                Query(
                    "sum by (method) (rate(atoll_rpc_duration_seconds_sum"
                    f'{{{OF_JOB}, side="server", role="hub", method!="Watch"}}{_RATE})) '
                    "/ sum by (method) (rate(atoll_rpc_duration_seconds_count"
                    f'{{{OF_JOB}, side="server", role="hub", method!="Watch"}}{_RATE}))',
                    "{{method}}",
                ),
            ),
            low=0,
        ),
        Curves(
            title="Merges",
            about="Rounds each minute by how they went, and seconds that islands waited for others "
            "each minute.",
            unit="none",
            queries=(
                Query(
                    "sum by (result) "
                    f"(rate(atoll_reported_merge_rounds_total{{{ISLANDS}}}{_RATE})) * 60",
                    "{{result}}",
                ),
                Query(
                    f"sum(rate(atoll_reported_merge_wait_seconds_total{{{ISLANDS}}}{_RATE})) * 60",
                    "seconds of waiting",
                ),
            ),
            low=0,
        ),
    ),
)

_KEPT: Final = Section(
    "What the hub keeps",
    (
        Curves(
            title="Store",
            about="Bytes that it holds, and the most that it may.",
            unit="bytes",
            queries=(
                Query(f"max(atoll_hub_store_bytes{{{_HUB}}})", "held"),
                Query(f"max(atoll_hub_store_quota_bytes{{{_HUB}}}) > 0", "quota"),
            ),
            low=0,
        ),
        Curves(
            title="Disk",
            about="Free space below the store, and the size of that disk.",
            unit="bytes",
            queries=(
                Query(f"max(atoll_hub_disk_free_bytes{{{_HUB}}})", "free"),
                Query(f"max(atoll_hub_disk_size_bytes{{{_HUB}}})", "size"),
            ),
            low=0,
        ),
        Curves(
            title="Artifacts and uploads",
            about="Refs that are bound, and uploads that are under way.",
            unit="none",
            queries=(
                Query(f"max(atoll_hub_artifacts{{{_HUB}}})", "bound"),
                Query(f"max(atoll_hub_uploads{{{_HUB}}})", "uploads"),
            ),
            steps=True,
            low=0,
        ),
    ),
)

_PODS: Final = Section(
    "Pods, in their own words",
    (
        Curves(
            title="Bytes by process",
            about="Artifacts sent each second, hub and other roles too; ends with the pod.",
            unit="Bps",
            queries=(
                Query(
                    "sum by (role, island) (rate(atoll_comm_bytes_total"
                    f'{{{OF_JOB}, direction="sent"}}{_RATE}))',
                    "{{role}} {{island}}",
                ),
            ),
            low=0,
            width=12,
        ),
        Curves(
            title="Sockets by island",
            about="What the kernel counted while it trained, sent and received; ends with the pod.",
            unit="Bps",
            queries=(
                Query(
                    f"sum by (island) (rate(atoll_socket_bytes_total{{{PODS}}}{_RATE}))",
                    "island-{{island}}",
                ),
            ),
            low=0,
            width=12,
        ),
    ),
)

BOARD: Final = Board(
    uid="atoll-exchange",
    title="Atoll / Exchange",
    about="What passes between the processes of a TrainingJob, how calls fare, what its hub holds.",
    choices=ONE_JOB,
    sections=(_NOW, _BYTES, _CALLS, _KEPT, _PODS),
)
