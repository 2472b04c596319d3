"""Every metric of the processes of a job: the catalogue that dashboards and alerts build on.

What a process counts ends with it, and may end between two scrapes. So each tells the hub its
totals, now and then and at its end, and the hub, which lives longest, exports them again, over all
attempts of a step, as `atoll_reported_...{step=...}`: see `REPORTED`.
"""

from typing import Final

from atoll_telemetry.families import Family, Kind, Label, counter, gauge, histogram

DIRECTION: Final = Label("direction", "From this process's side.", ("sent", "received"))
PEER: Final = Label("peer", "Who is at the other end.", ("hub", "island", "other"))
PHASE: Final = Label(
    "phase",
    "What the process was about: `training` between two exchanges, `exchange` while it merges with "
    "its neighbours, `setup` before and after.",
    ("setup", "training", "exchange"),
)
SPLIT: Final = Label("split", "Of which data.", ("train", "holdout"))
RESULT: Final = Label("result", "How it ended.", ("success", "error"))
MERGED: Final = Label(
    "result",
    "`complete`: with all neighbours of the round; `partial`: somebody was missing; `alone`: with "
    "nobody.",
    ("complete", "partial", "alone"),
)
METHOD: Final = Label(
    "method",
    "The gRPC method.",
    (
        *("Missing", "Publish", "Bind", "Hold", "Excuse", "Resolve", "Fetch", "Want", "Watch"),
        *("Drop", "Report", "GetSnapshot", "other"),
    ),
    begins_with=("Publish", "Fetch", "Report"),
)
SIDE: Final = Label("side", "Whether this process called or was called.", ("client", "server"))
CODE: Final = Label(
    "code",
    "The gRPC status, as OK.",
    (
        *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
        *("ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
        *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
        "UNAUTHENTICATED",
    ),
    begins_with=("OK",),
)
STEP: Final = Label("step", "Of the job, as `island-3`, `router` or `merge`.")
VERSION: Final = Label("version", "Of Atoll.")
ROLE: Final = Label("role", "What the process is, as `island` or `hub`.")

_GPU: Final = "where a GPU is used"
_TRAINS: Final = "where something is trained: seed, islands, router, baseline"
_MERGES: Final = "islands of IterativeMerge and SingleMerge"

BUILD_INFO: Final = gauge("atoll_build_info", "1; which Atoll runs here.", VERSION, ROLE)
CERTIFICATE_EXPIRY: Final = gauge(
    "atoll_certificate_expiry_timestamp_seconds",
    "When this process's certificate ends, in seconds since the epoch.",
)

# -- training -----------------------------------------------------------------------------------
TRAIN_STEPS: Final = counter(
    "atoll_train_steps_total", "Optimizer steps done by this process.", when=_TRAINS
)
TRAIN_SAMPLES: Final = counter(
    "atoll_train_samples_total", "Samples trained on, repeats included.", when=_TRAINS
)
TRAIN_TOKENS: Final = counter(
    "atoll_train_tokens_total", "Tokens trained on; 0 for data that are no text.", when=_TRAINS
)
TRAIN_TARGET_STEPS: Final = gauge(
    "atoll_train_target_steps", "Optimizer steps that the whole training has.", when=_TRAINS
)
TRAIN_START: Final = gauge(
    "atoll_train_start_timestamp_seconds",
    "When this process began to train, in seconds since the epoch; 0 before.",
    when=_TRAINS,
)
TRAIN_LOSS: Final = gauge(
    "atoll_train_loss",
    "Mean loss of the last stretch of training, or on the holdout at the end; NaN before the first.",
    SPLIT,
    when=_TRAINS,
)
TRAIN_LOSS_NOT_FINITE: Final = counter(
    "atoll_train_loss_not_finite_total",
    "How often the loss, or a weight, was found to be NaN or infinite; the step fails then.",
    when=_TRAINS,
)
TRAIN_STEP_SECONDS: Final = histogram(
    "atoll_train_step_duration_seconds",
    "Seconds from one optimizer step to the next, without exchanges.",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    when=_TRAINS,
)
TRAIN_GRADIENT_NORM: Final = gauge(
    "atoll_train_gradient_norm",
    "Euclidean norm of all gradients at the last report; NaN before the first.",
    when=_TRAINS,
)
TRAIN_LEARNING_RATE: Final = gauge(
    "atoll_train_learning_rate", "Learning rate of the last step.", when=_TRAINS
)
TRAIN_ISOLATED: Final = gauge(
    "atoll_train_isolated",
    "1 where this island may exchange nothing with other islands while it trains.",
    when="islands",
)

# -- checkpoints --------------------------------------------------------------------------------
CHECKPOINTS: Final = counter(
    "atoll_checkpoints_total", "Checkpoints that were saved, or not.", RESULT, when=_TRAINS
)
CHECKPOINT_SECONDS: Final = histogram(
    "atoll_checkpoint_duration_seconds",
    "Seconds from the snapshot to the hub's word that it is safe.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
    when=_TRAINS,
)
CHECKPOINT_BYTES: Final = gauge(
    "atoll_checkpoint_size_bytes", "Size of the last checkpoint that was saved.", when=_TRAINS
)
CHECKPOINT_TIME: Final = gauge(
    "atoll_checkpoint_last_success_timestamp_seconds",
    "When the last checkpoint was saved, in seconds since the epoch; 0 before the first.",
    when=_TRAINS,
)
CHECKPOINT_INTERVAL: Final = gauge(
    "atoll_checkpoint_interval_seconds",
    "How often a checkpoint is due, as the job says.",
    when=_TRAINS,
)

# -- exchange -----------------------------------------------------------------------------------
COMM_BYTES: Final = counter(
    "atoll_comm_bytes_total",
    "Bytes of weights and other artifacts that passed.",
    DIRECTION,
    PEER,
    PHASE,
)
SOCKET_BYTES: Final = counter(
    "atoll_socket_bytes_total",
    "Bytes that the kernel counted on this process's TCP sockets while it trained.",
    DIRECTION,
    PEER,
    when=f"{_TRAINS}; on Linux",
)
RPC_SECONDS: Final = histogram(
    "atoll_rpc_duration_seconds",
    "Seconds of a gRPC call from its begin to its end; of `Watch`, as long as it watched.",
    METHOD,
    SIDE,
    CODE,
    buckets=(0.003, 0.03, 0.3, 3.0, 30.0),
)
MERGES: Final = counter(
    "atoll_merge_rounds_total", "Rounds in which this island merged.", MERGED, when=_MERGES
)
MERGE_SECONDS: Final = histogram(
    "atoll_merge_duration_seconds",
    "Seconds of one merge of this process, the wait for others included.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
    when=f"{_MERGES}, and the merge step",
)
MERGE_WAIT_SECONDS: Final = counter(
    "atoll_merge_wait_seconds_total", "Seconds that this island waited for others.", when=_MERGES
)
ROUND: Final = gauge("atoll_merge_round", "Rounds that this island has done.", when=_MERGES)
MERGEABILITY_GAP: Final = gauge(
    "atoll_mergeability_gap",
    "Loss of the mean of all islands' weights minus the mean of their losses, on the holdout; NaN "
    "before the first.",
    when="the merge step of a strategy that merges",
)
CONSENSUS_DISTANCE: Final = gauge(
    "atoll_consensus_distance",
    "How far islands are from their mean, relative to its norm; NaN before the first.",
    when="the merge step of a strategy that merges",
)
ROUTER_ACCURACY: Final = gauge(
    "atoll_router_accuracy_ratio",
    "Share of holdout samples that the router sends to the island whose data they are; NaN before "
    "it is known.",
    when="the router",
)

# -- GPU ----------------------------------------------------------------------------------------
GPU_SECONDS: Final = counter(
    "atoll_gpu_seconds_total", "Seconds in which this process held a GPU and trained.", when=_GPU
)
GPU_MEMORY: Final = gauge(
    "atoll_gpu_memory_bytes", "Memory of the GPU that torch holds now.", when=_GPU
)
GPU_PEAK_MEMORY: Final = gauge(
    "atoll_gpu_memory_peak_bytes", "Most memory of the GPU that tensors took so far.", when=_GPU
)

# -- hub ----------------------------------------------------------------------------------------
HUB_STORED: Final = gauge("atoll_hub_store_bytes", "Bytes that the hub's store holds.", when="hub")
HUB_QUOTA: Final = gauge(
    "atoll_hub_store_quota_bytes", "Most that it may hold; 0 without a limit.", when="hub"
)
HUB_DISK_FREE: Final = gauge(
    "atoll_hub_disk_free_bytes",
    "Free space of the disk below the store.",
    when="a hub that stores on a disk",
)
HUB_DISK_SIZE: Final = gauge(
    "atoll_hub_disk_size_bytes", "Size of that disk.", when="a hub that stores on a disk"
)
HUB_ARTIFACTS: Final = gauge("atoll_hub_artifacts", "Refs that are bound.", when="hub")
HUB_UPLOADS: Final = gauge("atoll_hub_uploads", "Uploads that are under way.", when="hub")
HUB_REPORT_TIME: Final = gauge(
    "atoll_hub_last_report_timestamp_seconds",
    "When each step told the hub of itself last, in seconds since the epoch.",
    STEP,
    when="hub",
)

EVERYWHERE: Final = (BUILD_INFO, CERTIFICATE_EXPIRY, COMM_BYTES, RPC_SECONDS)
TRAINING: Final = (
    *(TRAIN_STEPS, TRAIN_SAMPLES, TRAIN_TOKENS, TRAIN_TARGET_STEPS, TRAIN_START, TRAIN_LOSS),
    *(TRAIN_LOSS_NOT_FINITE, TRAIN_STEP_SECONDS, TRAIN_GRADIENT_NORM, TRAIN_LEARNING_RATE),
    *(CHECKPOINTS, CHECKPOINT_SECONDS, CHECKPOINT_BYTES, CHECKPOINT_TIME, CHECKPOINT_INTERVAL),
    SOCKET_BYTES,
)
GPU: Final = (GPU_SECONDS, GPU_MEMORY, GPU_PEAK_MEMORY)
ISLAND: Final = (TRAIN_ISOLATED, MERGES, MERGE_SECONDS, MERGE_WAIT_SECONDS, ROUND)
MERGE: Final = (MERGE_SECONDS, MERGEABILITY_GAP, CONSENSUS_DISTANCE)
ROUTER: Final = (ROUTER_ACCURACY,)
HUB: Final = (
    *(HUB_STORED, HUB_QUOTA, HUB_DISK_FREE, HUB_DISK_SIZE, HUB_ARTIFACTS, HUB_UPLOADS),
    HUB_REPORT_TIME,
)

_OF_A_JOB: Final = (
    *(TRAIN_STEPS, TRAIN_SAMPLES, TRAIN_TOKENS, TRAIN_TARGET_STEPS, TRAIN_START, TRAIN_LOSS),
    *(TRAIN_LOSS_NOT_FINITE, TRAIN_GRADIENT_NORM, TRAIN_LEARNING_RATE, TRAIN_ISOLATED),
    *(CHECKPOINTS, CHECKPOINT_BYTES, CHECKPOINT_TIME, CHECKPOINT_INTERVAL),
    *(COMM_BYTES, SOCKET_BYTES, MERGES, MERGE_WAIT_SECONDS, ROUND),
    *(MERGEABILITY_GAP, CONSENSUS_DISTANCE, ROUTER_ACCURACY, GPU_SECONDS),
)

_TRAINED: Final = frozenset({"seed", "island", "baseline", "router"})
_DISK: Final = (HUB_DISK_FREE, HUB_DISK_SIZE)


def of_role(
    role: str, *, merges: bool = False, on_disk: bool = True, sockets: bool = True
) -> tuple[Family, ...]:
    """The families of one process, without those of a GPU: whether there is one is known later.

    Args:
        role: as a work order says it.
        merges: of an island, whether its strategy merges.
        on_disk: of a hub, whether it stores on a disk.
        sockets: whether the kernel counts what passes on sockets.
    """
    left_out = {*(() if on_disk else _DISK), *(() if sockets else (SOCKET_BYTES,))}
    chosen = (
        *EVERYWHERE,
        *(TRAINING if role in _TRAINED else ()),
        *((ISLAND if merges else (TRAIN_ISOLATED,)) if role == "island" else ()),
        *{"merge": MERGE, "router": ROUTER, "hub": HUB}.get(role, ()),
    )
    return tuple(family for family in chosen if family not in left_out)


def reported(family: Family) -> Family:
    """The hub's copy of a family, by step; of a counter, the sum over all attempts of the step."""
    assert family.kind is not Kind.HISTOGRAM, "no sum of its buckets is kept"
    return Family(
        name=family.name.replace("atoll_", "atoll_reported_", 1),
        kind=family.kind,
        help=f"As each step told the hub last: {family.help[0].lower()}{family.help[1:]}",
        labels=(STEP, *family.labels),
        when="hub",
    )


REPORTED: Final = {family.name: reported(family) for family in _OF_A_JOB}
"""What the hub exports of the steps, by the name that their processes use."""

ALL: Final = tuple(
    dict.fromkeys(
        (*EVERYWHERE, *TRAINING, *GPU, *ISLAND, *MERGE, *ROUTER, *HUB, *REPORTED.values())
    )
)
"""The whole catalogue."""
