"""One job, its islands side by side."""

from typing import Final

from tools.monitoring.board import Board, Section
from tools.monitoring.boards import of_pods
from tools.monitoring.boards.chosen import ISLANDS, OF_JOB, ONE_JOB, PODS, quantiles
from tools.monitoring.views import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    Bars,
    Curves,
    Heat,
    Number,
    Query,
    Rows,
    Text,
)

_RATE: Final = "[$__rate_interval]"
_STEP: Final = "{{step}}"
_KUBE: Final = OF_JOB

_WORDS: Final = """\
**One job: each island trains alone, on its own part of the data.** Curves that lie on each other are good; one \
that stays apart is an island with a slower machine or harder data. Totals and curves come from the job's hub and \
outlive the islands' pods; step times, GPUs and processes come from the pods and end with them. State and restarts \
come from the operator: a run on a laptop has none.
"""

_NOW: Final = Section(
    "Now",
    (
        Text(title="", words=_WORDS),
        Number(
            title="State",
            about="As the operator says it; conditions with reasons: kubectl describe tj.",
            unit="none",
            queries=(
                Query(
                    f"max by (state) (kube_atoll_trainingjob_state{{{_KUBE}}} == 1)", "{{state}}"
                ),
            ),
            limits=((0, BLUE),),
            named=True,
            spark=False,
        ),
        Number(
            title="Progress",
            about="How much of all its work is done; without an operator, of the islands' steps.",
            unit="percentunit",
            queries=(
                Query(
                    f"max(kube_atoll_trainingjob_progress_ratio{{{_KUBE}}}) or clamp_max("
                    f'sum(atoll_reported_train_steps_total{{{OF_JOB}, step=~"island-.+"}}) / '
                    f'sum(atoll_reported_train_target_steps{{{OF_JOB}, step=~"island-.+"}}), 1)'
                ),
            ),
            limits=((0, BLUE), (1, GREEN)),
            low=0,
            high=1,
        ),
        Number(
            title="Loss",
            about="Mean of the chosen islands' losses on their own training data.",
            unit="none",
            queries=(Query(f'avg(atoll_reported_train_loss{{{ISLANDS}, split="train"}} >= -Inf)'),),
            limits=((0, BLUE),),
        ),
        Number(
            title="Samples",
            about="That the chosen islands train on each second, together.",
            unit="suffix: /s",
            queries=(Query(f"sum(rate(atoll_reported_train_samples_total{{{ISLANDS}}}{_RATE}))"),),
            limits=((0, BLUE),),
        ),
        Number(
            title="Restarts",
            about="Of its islands so far. Each costs the work since the last checkpoint.",
            unit="none",
            queries=(Query(f"max(kube_atoll_trainingjob_island_restarts{{{_KUBE}}})"),),
            limits=((1, YELLOW), (10, RED)),
        ),
        Number(
            title="Bytes in isolation",
            about="Bytes that islands exchanged with others than the hub while they trained, where "
            "their job forbids it. Anything but 0 is wrong.",
            unit="bytes",
            queries=(
                Query(
                    "sum(atoll_reported_comm_bytes_total"
                    f'{{{OF_JOB}, phase="training", peer=~"island|other"}} '
                    "* on (namespace, trainingjob, step) group_left () "
                    "max by (namespace, trainingjob, step) "
                    f"(atoll_reported_train_isolated{{{OF_JOB}}} == 1))"
                ),
            ),
            limits=((1, RED),),
            spark=False,
        ),
    ),
)

_LENGTH: Final = quantiles(f"atoll_train_step_duration_seconds_bucket{{{PODS}}}", by="island")

_ISLANDS: Final = Section(
    "Islands side by side",
    (
        Curves(
            title="Loss on training data",
            about="Mean of the last stretch of training, of each island on its own data. Gaps: not "
            "known yet.",
            unit="none",
            queries=(Query(f'atoll_reported_train_loss{{{ISLANDS}, split="train"}}', _STEP),),
            width=12,
            height=9,
        ),
        Curves(
            title="Samples",
            about="Each second, by island. One that is slower holds up a merge, but not the others' "
            "training.",
            unit="suffix: /s",
            queries=(
                Query(f"rate(atoll_reported_train_samples_total{{{ISLANDS}}}{_RATE})", _STEP),
            ),
            low=0,
            width=12,
            height=9,
        ),
        Bars(
            title="Steps done",
            about="Of the steps that an island's training has. Work that was repeated after a restart "
            "counts too.",
            unit="percentunit",
            queries=(
                Query(
                    f"clamp_max(atoll_reported_train_steps_total{{{ISLANDS}}} "
                    f"/ atoll_reported_train_target_steps{{{ISLANDS}}}, 1)",
                    _STEP,
                ),
            ),
            limits=((0, BLUE), (1, GREEN)),
            low=0,
            high=1,
            width=6,
        ),
        Curves(
            title="Loss on the holdout",
            about="Of each island's model on the data that nobody trained on; known at the end.",
            unit="none",
            queries=(Query(f'atoll_reported_train_loss{{{ISLANDS}, split="holdout"}}', _STEP),),
            width=6,
        ),
        Curves(
            title="Gradient norm",
            about="Euclidean norm of all gradients. One that climbs comes before a loss that does.",
            unit="none",
            queries=(Query(f"atoll_reported_train_gradient_norm{{{ISLANDS}}}", _STEP),),
            low=0,
            width=6,
        ),
        Curves(
            title="Learning rate",
            about="Of the last step.",
            unit="sci",
            queries=(Query(f"atoll_reported_train_learning_rate{{{ISLANDS}}}", _STEP),),
            low=0,
            width=6,
        ),
        Curves(
            title="Tokens",
            about="Each second, by island; 0 for data that are no text.",
            unit="suffix: /s",
            queries=(Query(f"rate(atoll_reported_train_tokens_total{{{ISLANDS}}}{_RATE})", _STEP),),
            low=0,
            width=6,
        ),
        Curves(
            title="Time of a step",
            about="Median by island, without exchanges; said by the pods.",
            unit="s",
            queries=(Query(_LENGTH[0], "island-{{island}}"),),
            low=0,
            width=6,
        ),
        Heat(
            title="Steps by their time",
            about="All chosen islands together. A second band above: some islands, or some steps, are "
            "slow.",
            unit="s",
            queries=(
                Query(
                    "sum by (le) "
                    f"(increase(atoll_train_step_duration_seconds_bucket{{{PODS}}}{_RATE}))",
                    "{{le}}",
                ),
            ),
            width=6,
        ),
        Curves(
            title="Other steps",
            about="Steps each second of what is trained beside the islands: seed, router, baseline.",
            unit="suffix: /s",
            queries=(
                Query(
                    f'rate(atoll_reported_train_steps_total{{{OF_JOB}, step!~"island-.+"}}{_RATE})',
                    _STEP,
                ),
            ),
            low=0,
            width=6,
        ),
    ),
)

_MERGE: Final = quantiles(
    f'atoll_merge_duration_seconds_bucket{{{OF_JOB}, role=~"island|merge"}}', by="role"
)

_ROUNDS: Final = Section(
    "Rounds and the end (strategies that merge; a router)",
    (
        Rows(
            title="Rounds",
            about="Rounds that each island has done. A row that stays behind is an island that others "
            "wait for. Empty for an ensemble.",
            unit="none",
            queries=(Query(f"atoll_reported_merge_round{{{ISLANDS}}}", _STEP),),
            width=16,
        ),
        Curves(
            title="How islands merged",
            about="Rounds in which islands merged with all neighbours, with some, or with nobody, in "
            "the five minutes before.",
            unit="none",
            queries=(
                Query(
                    "sum by (result) "
                    f"(increase(atoll_reported_merge_rounds_total{{{ISLANDS}}}[5m]))",
                    "{{result}}",
                ),
            ),
            stacked=True,
            low=0,
        ),
        Curves(
            title="Time spent waiting",
            about="Share of its time that each island waits for others. Much: machines of unlike "
            "speed; say how much time a round may take.",
            unit="percentunit",
            queries=(
                Query(f"rate(atoll_reported_merge_wait_seconds_total{{{ISLANDS}}}{_RATE})", _STEP),
            ),
            limits=((0.3, ORANGE),),
            low=0,
            width=6,
        ),
        Curves(
            title="Time of a merge",
            about="Median, the wait for others included, by what merges.",
            unit="s",
            queries=(Query(_MERGE[0], "{{role}}, median"), Query(_MERGE[1], "{{role}}, 90 %")),
            low=0,
            width=6,
        ),
        Curves(
            title="Mergeability",
            about="Gap: loss of the mean of all weights minus the mean of the losses, below 0 where "
            "the mean is better than its parts. Distance: how far islands are from their mean.",
            unit="none",
            queries=(
                Query(f"max(atoll_reported_mergeability_gap{{{OF_JOB}}})", "gap"),
                Query(f"max(atoll_reported_consensus_distance{{{OF_JOB}}})", "distance"),
            ),
            width=6,
        ),
        Number(
            title="Router",
            about="Share of holdout samples that the router sends to the island whose data they are.",
            unit="percentunit",
            queries=(Query(f"max(atoll_reported_router_accuracy_ratio{{{OF_JOB}}} >= 0)"),),
            limits=((0, BLUE),),
            width=6,
            height=8,
        ),
    ),
)

_SAVED: Final = quantiles(f"atoll_checkpoint_duration_seconds_bucket{{{PODS}}}", by="island")
_CHECKPOINT: Final = f"atoll_reported_checkpoint_last_success_timestamp_seconds{{{ISLANDS}}}"
_BEGAN: Final = f"atoll_reported_train_start_timestamp_seconds{{{ISLANDS}}}"

_SAFETY: Final = Section(
    "What would be lost",
    (
        Curves(
            title="Work without a checkpoint",
            about="Since the last checkpoint, or since training began; a step that has ended needs "
            "none. Dashed: how often one is due.",
            unit="s",
            queries=(
                Query(
                    f"(time() - (({_CHECKPOINT} > {_BEGAN} or {_BEGAN}) > 0)) "
                    f"and atoll_reported_train_steps_total{{{ISLANDS}}} "
                    f"< atoll_reported_train_target_steps{{{ISLANDS}}}",
                    _STEP,
                ),
                Query(f"max(atoll_reported_checkpoint_interval_seconds{{{ISLANDS}}})", "due"),
            ),
            low=0,
        ),
        Curves(
            title="Checkpoints",
            about="Saved, or not, in the five minutes before. An error is tried again at the next.",
            unit="none",
            queries=(
                Query(
                    "sum by (result) "
                    f"(increase(atoll_reported_checkpoints_total{{{ISLANDS}}}[5m]))",
                    "{{result}}",
                ),
            ),
            low=0,
        ),
        Curves(
            title="Until a checkpoint is safe",
            about="Median, from the snapshot to the hub's word. Training goes on meanwhile.",
            unit="s",
            queries=(Query(_SAVED[0], "island-{{island}}"),),
            low=0,
        ),
        Curves(
            title="Size of a checkpoint",
            about="Of the last one of each island.",
            unit="bytes",
            queries=(Query(f"atoll_reported_checkpoint_size_bytes{{{ISLANDS}}}", _STEP),),
            low=0,
            width=6,
        ),
        Curves(
            title="Islands by state",
            about="Waiting: what they need is not there yet; Pending: started, but not a word from "
            "them; Failed: given up.",
            unit="none",
            queries=(
                Query(f"max by (state) (kube_atoll_trainingjob_islands{{{_KUBE}}})", "{{state}}"),
            ),
            stacked=True,
            low=0,
            width=6,
        ),
        Curves(
            title="Restarts of islands",
            about="So far, of the whole job.",
            unit="none",
            queries=(Query(f"max(kube_atoll_trainingjob_island_restarts{{{_KUBE}}})", "restarts"),),
            limits=((10, RED),),
            steps=True,
            low=0,
            width=6,
        ),
        Curves(
            title="Silence",
            about="Since each step last told the hub of itself: seconds while it works, growing once "
            "it has ended or hangs.",
            unit="s",
            queries=(
                Query(f"time() - atoll_hub_last_report_timestamp_seconds{{{ISLANDS}}}", _STEP),
            ),
            limits=((120, ORANGE),),
            low=0,
            width=6,
        ),
        Number(
            title="Losses that were no number",
            about="How often a loss or a weight was NaN or infinite. The step fails then and starts "
            "again from its checkpoint.",
            unit="none",
            queries=(Query(f"sum(atoll_reported_train_loss_not_finite_total{{{OF_JOB}}})"),),
            limits=((1, RED),),
            width=6,
            height=8,
        ),
        Curves(
            title="Bytes, while training and not",
            about="Weights and other artifacts each second, by phase and who is at the other end. "
            "More: the dashboard Exchange.",
            unit="Bps",
            queries=(
                Query(
                    "sum by (phase, peer) "
                    f"(rate(atoll_reported_comm_bytes_total{{{ISLANDS}}}{_RATE}))",
                    "{{phase}}, {{peer}}",
                ),
            ),
            low=0,
            width=12,
        ),
        Curves(
            title="Bytes sent by each island",
            about="Since its begin, all its attempts together.",
            unit="bytes",
            queries=(
                Query(
                    "sum by (step) "
                    f'(atoll_reported_comm_bytes_total{{{ISLANDS}, direction="sent"}})',
                    _STEP,
                ),
            ),
            low=0,
            width=6,
        ),
    ),
)

BOARD: Final = Board(
    uid="atoll-job",
    title="Atoll / Job",
    about="One TrainingJob, its islands side by side: loss, speed, rounds, checkpoints, bytes, machines.",
    choices=ONE_JOB,
    sections=(_NOW, _ISLANDS, _ROUNDS, _SAFETY, of_pods.MACHINES, of_pods.WORDS),
)
