"""Real runs as Prometheus sees them: while they go on, over kills, and what is left at the end."""

import json
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import held_tasks
import pytest
from atoll_runs import Run, atoll, digests, write_job
from held_tasks import HeldDiffusion, Hold
from scraped import Page, address_of, ask, scrape, targets

from atoll_api.exit_codes import ExitCode
from atoll_worker import metrics
from atoll_worker.exchange.totals import TotalsBook

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STEPS, BATCH, ROUTER_STEPS = 300, 64, 50
REPORTED_STEPS = "atoll_reported_train_steps_total"
MERGING = {
    "islands.count": 3,
    "strategy": {
        "type": "IterativeMerge",
        "iterativeMerge": {"topology": {"type": "FullyConnected"}, "stepsPerRound": 100},
    },
    "evaluation": {"samples": 64, "seeds": 1, "samplerSteps": 4},
}
Numbers = dict[tuple[str, tuple[str, ...]], float]


@contextmanager
def started(place: Path, **spec: Any) -> Iterator[Run]:
    """A run that does not outlive its test."""
    run = Run.start(write_job(place, **spec), place / "out")
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.kill()
            run.finish()


def answers(run: Path, step: str) -> bool:
    """Whether a process can be scraped by now."""
    address = address_of(run, step)
    try:
        return bool(address) and ask(address, "/metrics")[0] == HTTPStatus.OK
    except OSError:
        return False


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def page_of(run: Path, step: str) -> Page:
    """Of a process that may still be starting."""
    until(lambda: answers(run, step))
    return scrape(address_of(run, step))


def kept(run: Path) -> dict[str, Numbers]:
    """What the hub has written down of each step; nothing before the first time."""
    book, path = TotalsBook(), run / "hub" / "totals.json"
    if path.exists():
        book.load(path.read_bytes())
    return {step: {**told.counted(), **told.gauges} for step, told in book.steps()}


def total(numbers: Numbers, name: str, *labels: str) -> float:
    """Over all series of a name that have these labels."""
    return sum(
        it for (own, found), it in numbers.items() if own == name and set(labels) <= {*found}
    )


def report_of(run: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((run / "report.json").read_text())
    return document


def names(role: str, *, merges: bool = False) -> set[str]:
    return {family.name for family in metrics.of_role(role, merges=merges)}


def assert_bounded(page: Page, steps: set[str]) -> None:
    """No series but those of the catalogue, for the steps of the job."""
    families = {family.name: family for family in metrics.ALL}
    for name, labels in page.series:
        if name.startswith("process_"):
            assert not labels, "of the process itself"
            continue
        family = families.get(name) or families[name.rpartition("_")[0]]
        known = {label.name: label.values or steps for label in family.labels}
        for label, value in labels - {("version", "0.1.0"), ("role", "hub")}:
            assert label == "le" or value in known[label], (name, label, value)


def assert_sockets_agree(run: Path, *steps: str) -> None:
    """Bytes of the report, which the kernel counted, are those of the metrics."""
    found = kept(run)
    wires = [it for it in report_of(run)["run"]["wires"] if it["step"] in steps]
    assert {it["step"] for it in wires} == set(steps)
    for wire in wires:
        for direction in ("sent", "received"):
            counted = total(
                found[wire["step"]], "atoll_socket_bytes_total", direction, wire["peer"]
            )
            assert counted == wire[f"{direction}Bytes"], wire


def resumed_at(run: Path, step: str) -> int:
    """Where the last attempt of a step began; 0 without a checkpoint."""
    told = json.loads((run / "hub" / "progress.json").read_text())["steps"]
    (message,) = (it.get("message", "") for it in told if it["stepName"] == step)
    found = re.search(r"resumed at step (\d+)", message)
    return int(found[1]) if found else 0


def test_an_ensemble_is_seen_and_its_numbers_survive_kills(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    hold = Hold(tmp_path, "island-1", 200)
    spec = {
        "training.steps": STEPS,
        "training.batchSizePerIsland": BATCH,
        "task": held_tasks.spec(HeldDiffusion, tmp_path),
    }
    with started(tmp_path, **spec) as run:
        run.wait_for(hold.reached)

        island = page_of(folder, "island-1")
        assert names("island") <= island.families
        assert (
            not (names("hub") | names("merge") | names("router")) - names("island")
            & island.families
        )
        assert island.value("atoll_train_isolated") == 1
        assert island.value("atoll_train_target_steps") == STEPS
        assert math.isnan(island.value("atoll_train_loss", split="holdout"))

        hub = page_of(folder, "hub")
        assert names("hub") | {it.name for it in metrics.REPORTED.values()} <= hub.families
        assert hub.value("atoll_hub_artifacts") >= 3
        assert hub.value("atoll_hub_disk_size_bytes") > hub.value("atoll_hub_store_bytes") > 0
        assert_bounded(hub, {"hub", "partition", "island-0", "island-1", "router", "evaluate"})

        done = island.value("atoll_train_steps_total")
        assert 0 < done < 200, "it is held while it does one more"
        until(lambda: page_of(folder, "hub").sum(REPORTED_STEPS, step="island-1") == done)
        until(lambda: total(kept(folder).get("island-1", {}), "atoll_train_steps_total") == done)
        before = address_of(folder, "hub")
        run.kill_child("hub")
        until(lambda: address_of(folder, "hub") not in (before, ""))
        assert page_of(folder, "hub").sum(REPORTED_STEPS, step="island-1") == done

        run.kill_child("island-1")
        hold.release()
        assert run.finish()[0] == ExitCode.OK
        assert targets(folder) == []
        found = kept(folder)
        steps_again = STEPS - resumed_at(folder, "island-1")
        assert total(found["island-1"], "atoll_train_steps_total") == done + steps_again
        assert_ensemble_agrees(folder, found)


def assert_ensemble_agrees(folder: Path, found: dict[str, Numbers]) -> None:
    """What the undisturbed processes counted is what the report and the manifests say."""
    findings = report_of(folder)["findings"]
    for step, steps in (("island-0", STEPS), ("router", ROUTER_STEPS)):
        assert total(found[step], "atoll_train_steps_total") == steps
        assert total(found[step], "atoll_train_target_steps") == steps
    assert total(found["island-0"], "atoll_train_samples_total") == STEPS * BATCH
    assert total(found["island-0"], "atoll_train_tokens_total") == 0
    (expert,) = (it for it in findings["islands"] if it["island"] == 0)
    assert total(found["island-0"], "atoll_train_samples_total") == expert["samplesSeen"]
    holdout = found["island-0"]["atoll_train_loss", ("holdout",)]
    assert holdout == pytest.approx(expert["finalHoldoutLoss"])
    assert 0 < found["router"]["atoll_router_accuracy_ratio", ()] <= 1
    assert_sockets_agree(folder, "island-0", "router")
    for step in ("island-0", "island-1"):
        assert total(found[step], "atoll_comm_bytes_total", "sent", "hub") > 0
        assert total(found[step], "atoll_comm_bytes_total", "island") == 0
        assert total(found[step], "atoll_comm_bytes_total", "other") == 0


@pytest.fixture(scope="module")
def merging(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Page]]:
    """A run that merges, and the last that was seen of each of its processes."""
    place = tmp_path_factory.mktemp("merging")
    with started(place, **MERGING) as run:
        seen: dict[str, Page] = {}
        while run.process.poll() is None:
            for step in ("hub", "island-0", "island-1", "island-2", "merge"):
                try:
                    if answers(run.folder, step):
                        seen[step] = scrape(address_of(run.folder, step))
                except OSError:  # it ended meanwhile
                    continue
            time.sleep(0.2)
        code, output = run.finish()
        assert code == ExitCode.OK, output
        return run.folder, seen


def test_a_run_that_merges_shows_its_rounds(merging: tuple[Path, dict[str, Page]]) -> None:
    _, seen = merging
    assert names("island", merges=True) <= seen["island-0"].families
    assert names("merge") <= seen["merge"].families
    assert seen["island-0"].value("atoll_train_isolated") == 0
    counters = {it.name for it in metrics.REPORTED.values() if it.name.endswith("_total")}
    by_step = [
        {
            (name, labels - {("step", step)})
            for name, labels in seen["hub"].series
            if name in counters and ("step", step) in labels
        }
        for step in ("island-0", "island-1", "island-2")
    ]
    assert by_step[0] == by_step[1] == by_step[2] != set(), "series grow with the islands alone"
    steps = {"partition", "island-0", "island-1", "island-2", "merge", "evaluate", "hub"}
    assert_bounded(seen["hub"], steps)


def test_what_islands_exchanged_adds_up(merging: tuple[Path, dict[str, Page]]) -> None:
    folder, _ = merging
    found = kept(folder)
    islands = [found[f"island-{number}"] for number in range(3)]
    said = report_of(folder)["findings"]["merging"]
    comm = "atoll_comm_bytes_total"
    for numbers, told in zip(islands, said["islands"], strict=True):
        assert total(numbers, "atoll_train_steps_total") == STEPS
        assert total(numbers, "atoll_merge_rounds_total") == told["merges"] == 3
        assert total(numbers, "atoll_merge_round") == 3
        assert total(numbers, "atoll_merge_wait_seconds_total") > 0
        taken = total(numbers, comm, "received", "island", "exchange")
        assert taken == total(numbers, comm, "received", "island") > 0
    sent = sum(total(it, comm, "sent", "island") for it in islands)
    assert sent == sum(total(it, comm, "received", "island") for it in islands)
    to_others = sum(total(it, comm, "sent", "other") for it in islands)
    assert to_others == total(found["merge"], comm, "received", "island")
    gap = found["merge"]["atoll_mergeability_gap", ()]
    assert gap == pytest.approx(said["mergeability"][-1]["gap"])
    assert_sockets_agree(folder, "island-0", "island-1", "island-2")


def test_switched_off_nothing_is_counted_and_no_bit_differs(
    merging: tuple[Path, dict[str, Page]], tmp_path: Path
) -> None:
    counted, _ = merging
    folder = tmp_path / "out"
    result = atoll("run", write_job(tmp_path, **MERGING), "--out", folder, "--no-metrics")
    assert result.returncode == ExitCode.OK, result.stderr
    assert targets(folder) == []
    assert not (folder / "hub" / "totals.json").exists()
    assert not list((folder / "orders").glob("*.metrics.json"))
    assert digests(folder) == digests(counted)
