"""What the pods of one job say of themselves: machines, and their own counters."""

from typing import Final

from tools.monitoring.board import Section
from tools.monitoring.boards.chosen import OF_JOB, PODS
from tools.monitoring.views import Column, Curves, Query, Table

_RATE: Final = "[$__rate_interval]"

MACHINES: Final = Section(
    "Machines",
    (
        Curves(
            title="GPUs at work",
            about="Share of the time in which an island held a GPU and trained. Empty without GPUs.",
            unit="percentunit",
            queries=(
                Query(f"rate(atoll_gpu_seconds_total{{{PODS}}}{_RATE})", "island-{{island}}"),
            ),
            low=0,
            width=6,
        ),
        Curves(
            title="GPU memory",
            about="What torch holds now, and the most that tensors took.",
            unit="bytes",
            queries=(
                Query(f"atoll_gpu_memory_bytes{{{PODS}}}", "island-{{island}}, now"),
                Query(f"atoll_gpu_memory_peak_bytes{{{PODS}}}", "island-{{island}}, peak"),
            ),
            low=0,
            width=6,
        ),
        Curves(
            title="CPU",
            about="Cores that each process takes.",
            unit="none",
            queries=(
                Query(
                    f"sum by (role, island) (rate(process_cpu_seconds_total{{{OF_JOB}}}{_RATE}))",
                    "{{role}} {{island}}",
                ),
            ),
            low=0,
            width=6,
        ),
        Curves(
            title="Memory",
            about="That each process holds. One that ends at its limit is restarted: OOMKilled.",
            unit="bytes",
            queries=(
                Query(
                    f"max by (role, island) (process_resident_memory_bytes{{{OF_JOB}}})",
                    "{{role}} {{island}}",
                ),
            ),
            low=0,
            width=6,
        ),
    ),
)


def _of_pod(title: str, series: str, unit: str = "none", more: str = "") -> Column:
    return Column(title, f"max by (pod, role, island) ({series}{{{OF_JOB}{more}}})", unit)


WORDS: Final = Section(
    "Pods, in their own words",
    (
        Table(
            title="Pods that train",
            about="What each process has counted since it began: an attempt, not the whole step.",
            columns=(
                _of_pod("steps", "atoll_train_steps_total"),
                _of_pod("of", "atoll_train_target_steps"),
                _of_pod("samples", "atoll_train_samples_total", "short"),
                _of_pod("tokens", "atoll_train_tokens_total", "short"),
                _of_pod("loss", "atoll_train_loss", more=', split="train"'),
                _of_pod("gradient", "atoll_train_gradient_norm"),
                _of_pod("rate", "atoll_train_learning_rate", "sci"),
                _of_pod("not finite", "atoll_train_loss_not_finite_total"),
                _of_pod("isolated", "atoll_train_isolated"),
                Column(
                    "since",
                    "max by (pod, role, island) "
                    f"(atoll_train_start_timestamp_seconds{{{OF_JOB}}}) * 1000",
                    "dateTimeAsIso",
                ),
            ),
            labels=(("pod", "pod"), ("role", "role"), ("island", "island")),
            sort="steps",
        ),
        Table(
            title="Pods: what they saved and merged",
            about="What each process has counted since it began.",
            columns=(
                _of_pod("saved", "atoll_checkpoints_total", more=', result="success"'),
                _of_pod("not saved", "atoll_checkpoints_total", more=', result="error"'),
                _of_pod("size", "atoll_checkpoint_size_bytes", "bytes"),
                _of_pod("every", "atoll_checkpoint_interval_seconds", "s"),
                Column(
                    "last",
                    "max by (pod, role, island) "
                    f"(atoll_checkpoint_last_success_timestamp_seconds{{{OF_JOB}}}) * 1000",
                    "dateTimeAsIso",
                ),
                _of_pod("round", "atoll_merge_round"),
                _of_pod("merges", "atoll_merge_rounds_total", more=', result="complete"'),
                _of_pod("waited", "atoll_merge_wait_seconds_total", "s"),
                _of_pod("gap", "atoll_mergeability_gap"),
                _of_pod("distance", "atoll_consensus_distance"),
                _of_pod("router", "atoll_router_accuracy_ratio", "percentunit"),
            ),
            labels=(("pod", "pod"), ("role", "role"), ("island", "island")),
            sort="saved",
        ),
    ),
)
