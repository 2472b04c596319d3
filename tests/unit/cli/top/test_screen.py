"""One screen: what fits is shown, the worst of what does not, and no line is longer than the screen."""

import io
from typing import Any

import pytest
from rich.console import Console

from atoll_api.status import Condition, Progress, StepState, StepStatus, TrainingJobStatus
from atoll_cli.top.columns import Known, columns_for, fitting, percent, rows_of
from atoll_cli.top.screen import Size, chosen, elapsed_seconds, screen

NOW = 1_769_860_860.0  # 2026-01-31T12:01:00Z
BEGIN = "2026-01-31T12:00:00Z"


def island(number: int, state: StepState = "Running", **changes: object) -> StepStatus:
    step = StepStatus(name=f"island-{number}", island=number, state=state)
    return step.model_copy(update=changes)


ALIVE: dict[str, Any] = {"step": 500, "steps": 2000, "loss": 0.61234, "samples_per_second": 51234.5}


KNOWN = Known({"island-1": 90.0}, {"island-1": 12_345_678})


def job(*islands: StepStatus, **fields: object) -> TrainingJobStatus:
    partition = StepStatus(name="partition", state="Succeeded", step=4, steps=4)
    router = StepStatus(name="router", state="Waiting", message="waits for partition")
    status = TrainingJobStatus(
        state="Running",
        islands=islands,
        islands_ready=f"0/{len(islands)}",
        steps=(partition, router),
        start_time=BEGIN,
    )
    return status.model_copy(update=fields)


def printed(
    status: TrainingJobStatus, width: int = 100, height: int | None = None, title: str = "runs/a"
) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(screen(title, status, KNOWN, Size(width, height), NOW))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue().splitlines()


def test_the_job_in_two_lines_and_a_row_a_step() -> None:
    progress = Progress(percent=40, eta_seconds=90)
    lines = printed(job(island(0, restarts=2), island(1, **ALIVE), progress=progress))
    assert lines[0].split() == [
        "runs/a",
        "Running",
        "40",
        "%",
        "about",
        "1m30s",
        "left",
        "for",
        "1m00s",
    ]
    assert "2 running" in lines[1]
    assert "51,234 samples/s" in lines[1]
    assert "2 restarts" in lines[1]
    assert [line.split()[0] for line in lines[3:]] == [
        "partition",
        "island-0",
        "island-1",
        "router",
    ]
    row = " ".join(lines[5].split())
    for cell in ("Running", "25 %", "500/2000", "0.6123", "51,234", "1m30s", "12.3 MB"):
        assert cell in row


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("height", [None, 6, 12])
def test_nothing_is_wider_or_higher_than_the_screen(width: int, height: int | None) -> None:
    bad = condition("Degraded", "island-3 failed with exit code 65: " + "the loss is NaN " * 20)
    islands = tuple(island(it, message="word " * 40, **ALIVE) for it in range(30))
    lines = printed(job(*islands, conditions=(bad,)), width, height, title="runs/" + "long" * 30)
    assert max(map(len, lines)) <= width
    assert height is None or len(lines) <= height
    assert any("island-" in line for line in lines)


def condition(kind: str, message: str, status: str = "True") -> Condition:
    moment = "2026-01-01T00:00:00Z"
    return Condition.from_document(
        {
            "type": kind,
            "status": status,
            "reason": "IslandLost",
            "message": message,
            "lastTransitionTime": moment,
        }
    )


def test_what_is_wrong_is_said_on_one_line() -> None:
    lines = printed(job(island(0), conditions=(condition("Degraded", "island-3\nis lost"),)))
    assert "Degraded: island-3 is lost" in lines
    ended = job(island(0), conditions=(condition("Degraded", "it was", "False"),))
    assert not any("Degraded" in line for line in printed(ended))


def test_where_there_is_no_room_the_worst_are_shown_and_the_rest_counted() -> None:
    islands = [island(it, step=it, steps=100) for it in range(50)]
    islands[7] = island(7, "Failed")
    islands[9] = island(9, "Pending")
    shown, hidden = chosen(job(*islands), 6)
    assert [it.name for it in shown] == [
        "island-7",
        "island-9",
        "island-0",
        "island-1",
        "island-2",
    ]
    assert hidden == {"Running": 45, "Succeeded": 1, "Waiting": 1}
    assert (
        printed(job(*islands), height=9)[-1] == "… and 47 more: 45 running, 1 succeeded, 1 waiting"
    )


def test_islands_that_the_status_does_not_list_are_counted() -> None:
    listed = tuple(island(it) for it in range(100))
    many = job(*listed, islands_ready="3/1000")
    _, hidden = chosen(many, None)
    assert hidden == {"not listed": 900}
    assert "islands: 3/1000 done   of the 100 worst 100 running" in printed(many)[1]


def test_a_step_that_evaluates_is_seen_among_hundreds_of_islands() -> None:
    islands = tuple(island(it, "Succeeded") for it in range(100))
    evaluate = StepStatus(name="evaluate", state="Running")
    shown, _ = chosen(job(*islands, steps=(evaluate,)), 5)
    assert shown[0].name == "evaluate"


def test_columns_leave_in_the_order_of_their_need() -> None:
    rows = rows_of(
        [island(0, restarts=1, message="why", **ALIVE)], Known({"island-0": 9.0}, {"island-0": 0})
    )
    named = {
        width: [it.heading for it in fitting(width, columns_for(rows))]
        for width in (10, 20, 40, 200)
    }
    assert named[10] == ["STEP"]
    assert named[20] == ["STEP", "STATE"]
    assert named[40] == ["STEP", "STATE", "DONE", "LOSS"]
    assert named[200][-3:] == ["RESTARTS", "BYTES", "MESSAGE"]
    assert len(named[200]) == 11


def test_a_column_in_which_nobody_has_anything_takes_no_room() -> None:
    headings = [it.heading for it in columns_for(rows_of([island(0)], Known()))]
    assert not {"RESTARTS", "LEFT", "BYTES", "MESSAGE"} & set(headings)


def test_a_job_of_which_nobody_has_said_anything() -> None:
    lines = printed(TrainingJobStatus())
    assert lines[0].split() == ["runs/a", "Pending", "0", "%"]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (island(0, "Succeeded"), 100),
        (island(0), 0),
        (island(0, step=7, steps=5), 100),
        (island(0, step=1, steps=3), 33),
    ],
)
def test_percent(step: StepStatus, expected: int) -> None:
    assert percent(step) == expected


def test_elapsed() -> None:
    assert elapsed_seconds(job(), NOW) == 60
    assert elapsed_seconds(job(completion_time="2026-01-31T12:00:42Z"), NOW) == 42
    assert elapsed_seconds(job(start_time=None), NOW) is None
    assert elapsed_seconds(job(), NOW - 999) == 0
