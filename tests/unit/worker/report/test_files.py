"""Report files are written whole or not at all."""

from pathlib import Path

import pytest

from atoll_worker.report.files import write_whole


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "report.json"
    write_whole(target, b"old")
    write_whole(target, b"new")
    assert target.read_bytes() == b"new"
    assert [path.name for path in target.parent.iterdir()] == ["report.json"]


def test_a_write_that_fails_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    (tmp_path / "report.html" / "kept").touch()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "report.html", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
