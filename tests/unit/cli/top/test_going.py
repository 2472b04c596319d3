"""Without a word from the user: the only one that is going, or which there are."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from builders import job_document

from atoll_api.exit_codes import ExitCode
from atoll_cli.cluster.place import Wanted
from atoll_cli.errors import CliError
from atoll_cli.targets import Run
from atoll_cli.top.going import Found, find, local_runs, only_one


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return tmp_path


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def make(name: str, held: ExitStack | None = None) -> Run:
    folder = Path("runs") / name
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps(job_document()))
    lock = (folder / "lock").open("wb")
    if held is not None:
        fcntl.flock(held.enter_context(lock), fcntl.LOCK_EX)
    else:
        lock.close()
    return Run(folder)


def test_no_folder_of_runs() -> None:
    assert local_runs() == ()
    with pytest.raises(
        CliError, match="no run in runs/ is going, and no TrainingJob; no kubeconfig"
    ):
        only_one(find(Wanted()))


def test_the_one_that_is_going(held: ExitStack) -> None:
    make("ended")
    going = make("going", held)
    Path("runs/notes.txt").touch()
    assert only_one(find(Wanted())) == going


def test_several_are_named_and_none_is_chosen(held: ExitStack) -> None:
    for name in ("b", "a"):
        make(name, held)
    with pytest.raises(CliError, match="2 are going: say which: runs/a, runs/b") as caught:
        only_one(find(Wanted()))
    assert caught.value.exit_code == ExitCode.USAGE


def test_hundreds_are_not_all_named() -> None:
    many = tuple(Run(Path(f"runs/{number}")) for number in range(300))
    with pytest.raises(CliError, match="300 are going") as caught:
        only_one(Found(many))
    assert len(str(caught.value)) < 400


def test_whoever_names_a_cluster_gets_its_answer(held: ExitStack) -> None:
    make("going", held)
    with pytest.raises(CliError, match="no kubeconfig"):
        find(Wanted(namespace="lab"))
