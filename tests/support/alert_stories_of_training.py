"""Stories of training, as the hub hears of it."""

from alert_stories import HUB, Fired, Story, told, training

_STEP = {**HUB, "step": "island-0"}
_SAVED = told("atoll_reported_checkpoint_last_success_timestamp_seconds")
_BEGAN = told("atoll_reported_train_start_timestamp_seconds")
_EVERY = told("atoll_reported_checkpoint_interval_seconds")
_FAILS = told("atoll_reported_checkpoints_total", result="error")
_NAN = told("atoll_reported_train_loss_not_finite_total")
_LOSS = told("atoll_reported_train_loss", split="train")
_ISOLATED = told("atoll_reported_train_isolated")
_FOUND = (
    "island-0 of lab/digits found it in the last hour, 1 times; each time the step fails and starts "
    "from its last checkpoint."
)


def _bytes(phase: str, peer: str) -> str:
    return told("atoll_reported_comm_bytes_total", direction="sent", peer=peer, phase=phase)


def _sockets(peer: str) -> str:
    return told("atoll_reported_socket_bytes_total", direction="received", peer=peer)


_SPOKE = {"direction": "sent", "peer": "island", "phase": "training"}

STORIES = (
    Story(
        "AtollTrainingStalls",
        "300 steps in 30 minutes, then none, and it goes on to report",
        training("0+10x30 300x60"),
        55,
        (
            Fired(
                _STEP,
                "island-0 of lab/digits has reported, but done no optimizer step for 15 minutes.",
            ),
        ),
    ),
    Story("AtollTrainingStalls", "it has ended", training("0+10x30 300x60", target=300), 55),
    Story(
        "AtollTrainingStalls",
        "its process is gone",
        training("0+10x30 300x60", heard="0+60x30 1800x60"),
        55,
    ),
    Story("AtollTrainingStalls", "it trains", training("0+10x90"), 55),
    Story("AtollTrainingStalls", "it has not begun", training("0x90"), 55),
    Story(
        "AtollCheckpointTooOld",
        "it never saved since it began at minute 1",
        {**training("0+1x60"), _SAVED: "0x60", _BEGAN: "60x60", _EVERY: "60x60"},
        10,
        (
            Fired(
                _STEP,
                "island-0 of lab/digits would lose 9m 0s of work: three checkpoints were due since.",
            ),
        ),
    ),
    Story(
        "AtollCheckpointTooOld",
        "it saved until minute 20",
        {**training("0+1x60"), _SAVED: "0+60x20 1200x60", _BEGAN: "60x60", _EVERY: "60x60"},
        40,
        (
            Fired(
                _STEP,
                "island-0 of lab/digits would lose 20m 0s of work: three checkpoints were due since.",
            ),
        ),
    ),
    Story(
        "AtollCheckpointTooOld",
        "it saves every minute",
        {**training("0+1x60"), _SAVED: "0+60x60", _BEGAN: "60x60", _EVERY: "60x60"},
        40,
    ),
    Story(
        "AtollCheckpointTooOld",
        "it has ended, and needs none",
        {**training("10x60", target=10), _SAVED: "300x60", _BEGAN: "60x60", _EVERY: "60x60"},
        40,
    ),
    Story(
        "AtollCheckpointTooOld",
        "it began anew a minute ago, after an hour without a node",
        {**training("5x90"), _SAVED: "300x90", _BEGAN: "60x70 4260x20", _EVERY: "60x90"},
        72,
    ),
    Story(
        "AtollCheckpointTooOld",
        "it has not begun",
        {**training("0x60"), _SAVED: "0x60", _BEGAN: "0x60", _EVERY: "60x60"},
        40,
    ),
    Story(
        "AtollCheckpointTooOld",
        "its process is gone",
        {
            **training("0+1x20 20x60", heard="0+60x20 1200x60"),
            _SAVED: "0+60x20 1200x60",
            _BEGAN: "60x60",
            _EVERY: "60x60",
        },
        40,
    ),
    Story(
        "AtollCheckpointsFail",
        "one a minute",
        {_FAILS: "0+1x30"},
        25,
        (
            Fired(
                {**_STEP, "result": "error"},
                "15 checkpoints of island-0 of lab/digits failed in 15 minutes.",
            ),
        ),
    ),
    Story("AtollCheckpointsFail", "a single one", {_FAILS: "0x10 1x30"}, 15),
    Story(
        "AtollLossNotFinite", "five minutes ago", {_NAN: "0x10 1x60"}, 15, (Fired(_STEP, _FOUND),)
    ),
    Story(
        "AtollLossNotFinite",
        "before the hub was seen first",
        {_NAN: "_x10 1x60"},
        15,
        (Fired(_STEP, _FOUND),),
    ),
    Story("AtollLossNotFinite", "two hours ago", {_NAN: "0x10 1x300"}, 130),
    Story("AtollLossNotFinite", "never", {_NAN: "0x30"}, 20),
    Story(
        "AtollLossDiverges",
        "from 2 down to 1, then up to 3",
        {**training("0+1x300"), _LOSS: "2-0.05x20 1+0.2x10 3x100"},
        60,
        (
            Fired(
                {**_STEP, "split": "train"},
                "The loss of island-0 of lab/digits is 3, more than twice what it was within the "
                "last two hours.",
            ),
        ),
    ),
    Story(
        "AtollLossDiverges",
        "it settles, and shakes",
        {**training("0+1x300"), _LOSS: "2-0.05x20 " + "1.1 0.9 1.2 0.8 " * 20},
        60,
    ),
    Story(
        "AtollLossDiverges",
        "not known for a quarter of an hour",
        {**training("0+1x300"), _LOSS: "NaN " * 15 + "2x100"},
        60,
    ),
    Story(
        "AtollLossDiverges",
        "one bad minute",
        {**training("0+1x300"), _LOSS: "1x40 9 1x60"},
        45,
    ),
    Story(
        "AtollLossDiverges",
        "it climbed, and has ended",
        {**training("100x300", target=100), _LOSS: "2-0.05x20 1+0.2x10 3x100"},
        60,
    ),
    Story(
        "AtollBytesInIsolation",
        "weights to another island",
        {_bytes("training", "island"): "0x5 4096x30", _ISOLATED: "1x40"},
        20,
        (
            Fired(
                {**_STEP, **_SPOKE},
                "island-0 of lab/digits sent 4kiB; the other end is: island.",
            ),
        ),
    ),
    Story(
        "AtollBytesInIsolation",
        "the kernel saw what no program counted",
        {_sockets("other"): "0x5 2048x30", _ISOLATED: "1x40"},
        20,
        (
            Fired(
                {**_STEP, "direction": "received", "peer": "other"},
                "island-0 of lab/digits received 2kiB; the other end is: other.",
            ),
        ),
    ),
    Story(
        "AtollBytesInIsolation",
        "checkpoints to the hub, and a merge",
        {
            _bytes("training", "hub"): "0+1000x40",
            _sockets("hub"): "0+1100x40",
            _bytes("exchange", "island"): "0+1000x40",
            _ISOLATED: "1x40",
        },
        20,
    ),
    Story(
        "AtollBytesInIsolation",
        "islands that may",
        {_bytes("training", "island"): "0+1000x40", _ISOLATED: "0x40"},
        20,
    ),
    Story(
        "AtollBytesInIsolation",
        "two hours ago",
        {_bytes("training", "island"): "0x5 4096x300", _ISOLATED: "1x300"},
        130,
    ),
)
