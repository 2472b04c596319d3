"""Targets for Prometheus: who lives and has said where, and nobody else."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from scraped import targets

from atoll_api import names
from atoll_api.names import StepName, island_step
from atoll_operator.local.folder import RunFolder
from atoll_operator.local.scraping import Scraping


class Started:
    """As much of a process as is looked at."""

    def __init__(self, pid: int) -> None:
        self.pid = pid


class Attendance:
    """Of one process, beside it."""

    def __init__(self, scraping: Scraping, step: StepName, pid: int) -> None:
        self._folder, self._step, self._pid = scraping.folder, step, pid
        process: Any = Started(pid)
        scraping.begin(step)
        self._task = asyncio.ensure_future(scraping.attend(step, process))

    def says(self, address: str, pid: int | None = None) -> None:
        said = {"address": address, "pid": self._pid if pid is None else pid}
        self._folder.metrics_file(self._step).write_text(json.dumps(said))

    async def ends(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture
def scraping(tmp_path: Path) -> Scraping:
    folder = RunFolder(tmp_path)
    folder.make()
    found = Scraping(folder, "digits", on=True)
    found.prepare()
    return found


def shown(scraping: Scraping) -> dict[str, dict[str, str]]:
    return {it["targets"][0]: it["labels"] for it in targets(scraping.folder.path)}


async def until_shown(scraping: Scraping, count: int) -> None:
    async def look() -> None:
        while len(shown(scraping)) != count:  # noqa: ASYNC110 - a file sets no event
            await asyncio.sleep(0.01)

    await asyncio.wait_for(look(), 10)


async def test_processes_come_and_go(scraping: Scraping) -> None:
    assert shown(scraping) == {}
    hub = Attendance(scraping, names.HUB, 7)
    island = Attendance(scraping, island_step(3), 8)
    hub.says("127.0.0.1:1")
    island.says("127.0.0.1:2")
    await until_shown(scraping, 2)
    both = {"namespace": "local", "trainingjob": "digits"}
    assert shown(scraping) == {
        "127.0.0.1:1": {**both, "role": "hub"},
        "127.0.0.1:2": {**both, "role": "island", "island": "3"},
    }
    await island.ends()
    assert list(shown(scraping)) == ["127.0.0.1:1"]
    await hub.ends()
    assert shown(scraping) == {}


async def test_the_word_of_a_process_before_it_is_no_word_of_this_one(scraping: Scraping) -> None:
    first = Attendance(scraping, island_step(0), 8)
    first.says("127.0.0.1:2")
    await until_shown(scraping, 1)
    await first.ends()
    second = Attendance(scraping, island_step(0), 9)
    second.says("127.0.0.1:2", pid=8)
    await asyncio.sleep(0.2)
    assert shown(scraping) == {}
    second.says("127.0.0.1:3")
    await until_shown(scraping, 1)
    assert list(shown(scraping)) == ["127.0.0.1:3"]
    await second.ends()


async def test_a_folder_that_is_gone_ends_nothing(scraping: Scraping) -> None:
    island = Attendance(scraping, island_step(0), 8)
    island.says("127.0.0.1:2")
    await until_shown(scraping, 1)
    for path in (scraping.folder.path / "prometheus").iterdir():
        path.unlink()
    (scraping.folder.path / "prometheus").rmdir()
    await island.ends()


def test_the_configuration_reads_the_file_beside_it(scraping: Scraping) -> None:
    path = scraping.folder.path / "prometheus" / "prometheus.yml"
    (job,) = yaml.safe_load(path.read_text())["scrape_configs"]
    assert job["file_sd_configs"][0]["files"] == ["targets.json"]
    assert job["honor_labels"] is False
    assert sorted(it.name for it in path.parent.iterdir()) == ["prometheus.yml", "targets.json"]


def test_switched_off_nothing_is_written_and_nobody_waits(tmp_path: Path) -> None:
    off = Scraping(RunFolder(tmp_path), "digits", on=False)
    off.prepare()
    process: Any = Started(1)
    asyncio.run(asyncio.wait_for(off.attend(island_step(0), process), 1))
    assert list(tmp_path.iterdir()) == []
