"""What a person sees of many jobs, and before one is deleted."""

import io

import pytest
from rich.console import Console
from submitted_jobs import COMPLETE, FAILED, LAB, RUNNING, lab, says, submitted

from atoll_api.status import TrainingJobStatus
from atoll_cli.cluster import jobs, listing
from atoll_cli.cluster.deletion import what_goes
from atoll_operator.kubernetes.resources import TRAINING_JOBS

LONG = "a-name-of-forty-characters-which-is-all-"[:39]


async def printed(width: int, *, with_namespace: bool = False) -> list[str]:
    api = lab()
    for name, status in (("done", COMPLETE), ("broken", FAILED), (LONG, RUNNING), ("new", None)):
        submitted(api, name)
        if status is not None:
            says(api, status, name)
    old = submitted(api, "old")
    api.server.replace(TRAINING_JOBS, {**old, "status": {"mood": "good"}}, "status")
    found = await jobs.read_all(api, LAB)
    console = Console(file=io.StringIO(), width=width)
    console.print(listing.table(found, 7200.0, with_namespace=with_namespace))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


async def test_a_row_a_job() -> None:
    heading, *rows = await printed(160, with_namespace=True)
    assert heading.split() == [
        "NAMESPACE", "NAME", "STATE", "STRATEGY", "ISLANDS", "PROGRESS", "LEFT", "AGE",
    ]  # fmt: skip
    by_name = {row.split()[1]: " ".join(row.split()[2:]) for row in rows}
    assert by_name[LONG] == "Running ExpertEnsemble 0/4 40 % 1m30s 2h router: waits for a node"
    assert by_name["done"] == "Complete ExpertEnsemble 0 % 2h"
    assert by_name["broken"].endswith("island-0 broke")
    assert by_name["new"].endswith("no operator has said anything of it yet")
    assert by_name["old"].startswith("? ExpertEnsemble")


async def test_in_a_narrow_terminal_only_words_are_cut() -> None:
    rows = await printed(96)
    assert all(len(row) <= 96 for row in rows)
    (running,) = [row for row in rows if row.startswith(LONG)]
    assert "40 %" in running
    assert "1m30s" in running


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-5, "0s"), (9.7, "9s"), (119, "119s"), (120, "2m"), (7199, "119m"), (200000, "2d")],
)
def test_ages(seconds: float, expected: str) -> None:
    assert listing.age(seconds) == expected


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        ({}, "its hub with all artifacts (models among them: 1, 2.0 MB)"),
        ({"type": "PersistentVolumeClaim"}, "its claim with all artifacts"),
        (
            {"type": "ObjectStore", "objectStore": {"url": "s3://bucket/x"}},
            "all artifacts (models among them: 1, 2.0 MB) stay in s3://bucket/x.",
        ),
    ],
)
async def test_what_goes_with_a_job(storage: dict[str, object], expected: str) -> None:
    api = lab()
    submitted(api, artifacts={"storage": storage})
    kept = {"name": "experts/0", "digest": "d", "sizeBytes": 2_000_000}
    says(api, TrainingJobStatus.from_document({"state": "Running", "artifacts": [kept]}))
    first, second = what_goes(await jobs.read(api, LAB, "digits"))
    assert first == "digits in namespace lab is Running."
    assert expected in second
