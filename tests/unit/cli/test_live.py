"""What a person sees, from statuses."""

import io

import pytest
from rich.console import Console

from atoll_api.status import Condition, Progress, StepStatus, TrainingJobStatus
from atoll_cli import live

RUNNING = StepStatus(
    name="island-1",
    island=1,
    state="Running",
    restarts=1,
    step=500,
    steps=2000,
    loss=0.61234,
    samples_per_second=51234.5,
)


def job(*islands: StepStatus, **fields: object) -> TrainingJobStatus:
    partition = StepStatus(name="partition", state="Succeeded", step=4, steps=4)
    router = StepStatus(name="router", state="Waiting")
    status = TrainingJobStatus(state="Running", islands=islands, steps=(router, partition))
    return status.model_copy(update=fields)


def printed(status: TrainingJobStatus, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    clocks = live.Clocks()
    live.table(status, clocks, now=0.0)
    later = status.islands[0].model_copy(update={"step": 1000})
    console.print(live.table(status.model_copy(update={"islands": (later,)}), clocks, now=10.0))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_table_shows_each_step_once_with_its_numbers() -> None:
    text = printed(job(RUNNING, progress=Progress(percent=40, eta_seconds=90)))
    lines = text.splitlines()
    assert [line.split()[1] for line in lines[:3]] == ["partition", "island-1", "router"]
    for expected in ("1000/2000", "loss 0.6123", "51,234/s", "20s", "1 restart", "40 %", "1m30s"):
        assert expected in text


def test_in_eighty_columns_only_messages_are_cut() -> None:
    long = RUNNING.model_copy(update={"message": "waits for router, baseline, the islands " * 3})
    text = printed(job(long), width=80)
    assert all(len(line) <= 80 for line in text.splitlines())
    for whole in ("partition", "island-1", "1000/2000", "loss 0.6123", "51,234/s"):
        assert whole in text


def test_a_degraded_job_says_so() -> None:
    condition = Condition(
        type="Degraded",
        status="True",
        reason="IslandLost",
        message="island-2 failed with exit code 65",
        last_transition_time="2026-01-01T00:00:00Z",
    )
    assert "island-2 failed" in printed(job(RUNNING, conditions=(condition,)))


def test_plain_lines_are_said_once_a_quarter() -> None:
    console = Console(file=io.StringIO(), width=200)
    view = live.Lines(console)
    for step in range(0, 2001, 100):
        view.show(job(RUNNING.model_copy(update={"step": step})))
        view.show(job(RUNNING.model_copy(update={"step": step})))
    output = console.file
    assert isinstance(output, io.StringIO)
    said = [line for line in output.getvalue().splitlines() if line.startswith("island-1")]
    assert [line.split()[2] for line in said] == [
        "0/2000",
        "500/2000",
        "1000/2000",
        "1500/2000",
        "2000/2000",
    ]
    assert "router" not in output.getvalue()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, ""), (0.4, "0s"), (59.6, "1m00s"), (200, "3m20s"), (7500, "2h05m"), (-3, "0s")],
)
def test_durations(seconds: float | None, expected: str) -> None:
    assert live.duration(seconds) == expected


def test_no_eta_without_progress() -> None:
    assert live.eta_seconds(RUNNING, 10.0, 0) is None
    assert live.eta_seconds(RUNNING, 10.0, 500) == 30.0
