"""Files of a run that cannot be read: a line that names the file, whatever is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from builders import make_job

from atoll_api.exit_codes import ExitCode
from atoll_operator.errors import BrokenFolderError
from atoll_operator.local.folder import RunFolder

READERS: dict[str, Callable[[RunFolder], object]] = {
    "job.json": lambda folder: folder.adopt(make_job()),
    "status.json": RunFolder.read_status,
    "report.json": RunFolder.read_metrics,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("damage", [b"\xff", b"[" * 100_000, b"[]", b'{"metrics": 7}', b"{", None])
def test_a_damaged_file_is_named(name: str, damage: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / name
    path.mkdir() if damage is None else path.write_bytes(damage)
    with pytest.raises(BrokenFolderError, match=name) as caught:
        READERS[name](RunFolder.at(tmp_path))
    assert caught.value.exit_code == ExitCode.FINAL
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"7", b"\xff", b'{"ref": 7}', b"[" * 100_000])
def test_a_ref_whose_file_cannot_be_read_is_not_bound(content: bytes, tmp_path: Path) -> None:
    refs = tmp_path / "hub/refs"
    refs.mkdir(parents=True)
    (refs / "whole.json").write_text('{"ref": "experts/0"}')
    (refs / "damaged.json").write_bytes(content)
    assert RunFolder.at(tmp_path).bound_refs() == {"experts/0"}


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_not_there_is_nothing_wrong(name: str, tmp_path: Path) -> None:
    READERS[name](RunFolder.at(tmp_path))
