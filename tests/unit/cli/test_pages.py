"""A report out of an artifact: files, and nothing but files."""

from pathlib import Path

import pytest
import torch

from atoll_api import names
from atoll_cli.errors import CliError
from atoll_cli.pages import fetch_page
from atoll_worker.exchange.memory import MemoryArtifacts
from atoll_worker.ports import Artifact


def page(**files: bytes) -> MemoryArtifacts:
    artifacts = MemoryArtifacts()
    tensors = {name: torch.tensor(list(it), dtype=torch.uint8) for name, it in files.items()}
    artifacts.publish(names.PAGE_REF, Artifact(tensors))
    return artifacts


def test_the_files_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert fetch_page(page(**{"report.json": b"{}", "samples.png": b"\x89"}), folder)
    assert {it.name: it.read_bytes() for it in folder.iterdir()} == {
        "report.json": b"{}",
        "samples.png": b"\x89",
    }


def test_no_report_yet(tmp_path: Path) -> None:
    assert not fetch_page(MemoryArtifacts(), tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["../up", "/etc/x", "a/b", ".hidden", ".."])
def test_a_name_that_leads_elsewhere_writes_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(CliError, match="is no file of a report"):
        fetch_page(page(**{"a.html": b"", name: b"x"}), tmp_path / "report")
    assert list(tmp_path.iterdir()) == []


def test_weights_are_no_file(tmp_path: Path) -> None:
    artifacts = MemoryArtifacts()
    artifacts.publish(names.PAGE_REF, Artifact({"report.html": torch.zeros(2)}))
    with pytest.raises(CliError, match="is no file of a report"):
        fetch_page(artifacts, tmp_path)
