"""The commands for a cluster before a real API server, with the operator's words written by hand."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from builders import job_document
from kube_api_server import shared_kubeconfig
from kube_worlds import World, world
from submitted_jobs import COMPLETE, FAILED, RUNNING

from atoll_api.exit_codes import ExitCode
from atoll_api.status import TrainingJobStatus
from atoll_cli.__main__ import exit_code_of
from atoll_operator.errors import NotFoundError
from atoll_operator.kubernetes.api import Json, Key
from atoll_operator.kubernetes.resources import TRAINING_JOBS

ALONE = {"managedBy": "example.org/nobody"}
"""An operator that may be there leaves such a job alone."""


@dataclass(frozen=True)
class Lab:
    """A namespace, and the other side's view of it."""

    runner: asyncio.Runner
    world: World
    kubeconfig: Path
    folder: Path

    def atoll(self, *words: str) -> int:
        """Run a command there."""
        where = ("-n", self.world.namespace, "--kubeconfig", str(self.kubeconfig))
        return exit_code_of([*words, *where])

    def file(self, name: str = "digits", /, **spec: Any) -> str:
        """A job as YAML."""
        document = job_document(**(ALONE | spec))
        document["metadata"]["name"] = name
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(document))
        return str(path)

    def job(self, name: str = "digits") -> Json:
        """As the API server has it."""
        return self.runner.run(self.world.api.get(TRAINING_JOBS, self._key(name)))

    def says(self, status: TrainingJobStatus, name: str = "digits") -> None:
        """Write this, as an operator does."""
        body = {**self.job(name), "status": status.to_document()}
        self.runner.run(self.world.api.replace(TRAINING_JOBS, body, subresource="status"))

    def is_gone(self, name: str = "digits") -> bool:
        try:
            self.job(name)
        except NotFoundError:
            return True
        return False

    def _key(self, name: str) -> Key:
        return Key(self.world.namespace, name)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    kubeconfig = shared_kubeconfig()
    with asyncio.Runner() as runner:
        entered = world("real", kubeconfig)
        found = runner.run(entered.__aenter__())
        yield Lab(runner, found, kubeconfig, tmp_path)
        runner.run(entered.__aexit__(None, None, None))


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was printed since it was asked last."""

    def read() -> str:
        captured = capsys.readouterr()
        return captured.out + captured.err

    return read


def test_a_job_is_made_once_and_what_may_change_changes(lab: Lab, said: Callable[[], str]) -> None:
    assert lab.atoll("submit", lab.file(), "--dry-run") == ExitCode.OK
    assert "digits: would be created" in said()
    assert lab.is_gone()
    assert lab.atoll("submit", lab.file()) == ExitCode.OK
    assert f"created in namespace {lab.world.namespace}" in said()
    assert "training" not in lab.job()["spec"], "no default is written into it"
    assert lab.atoll("submit", lab.file(training={"steps": 2000})) == ExitCode.OK
    assert "is the same job: it is Pending" in said()
    changed = {"suspend": True, "runPolicy": {"activeDeadlineSeconds": 60}, "islands.quorum": 3}
    assert lab.atoll("submit", lab.file(**changed)) == ExitCode.OK
    spec = lab.job()["spec"]
    assert (spec["suspend"], spec["runPolicy"]) == (True, {"activeDeadlineSeconds": 60})
    assert spec["islands"]["quorum"] == 3
    assert lab.atoll("submit", lab.file(**{"islands.quorum": 4})) == ExitCode.IN_USE
    assert lab.atoll("submit", lab.file(training={"steps": 9})) == ExitCode.IN_USE
    assert "spec.training.steps is 2000 there and 9 here" in said()


def test_what_atoll_validate_refuses_is_not_sent(lab: Lab, said: Callable[[], str]) -> None:
    assert lab.atoll("submit", lab.file(**{"islands.count": 0})) == ExitCode.INVALID
    assert "atoll: spec.islands.count: 0:" in said()
    assert lab.atoll("submit", lab.file(data={"source": "file://x.npz"})) == ExitCode.INVALID
    assert "mount a volume" in said()
    assert lab.is_gone()


def test_the_status_of_a_job(lab: Lab, said: Callable[[], str]) -> None:
    lab.atoll("submit", lab.file())
    said()
    assert lab.atoll("status", "digits") == ExitCode.OK
    assert "no operator has said anything of it yet" in said()
    lab.says(RUNNING)
    assert lab.atoll("status", "digits") == ExitCode.OK
    shown = said()
    assert "island-0" in shown
    assert "… router: waits for a node" in shown
    assert "+ Accepted Because: of that" in shown
    assert lab.atoll("status", "digits", "--json") == ExitCode.OK
    assert TrainingJobStatus.from_document(json.loads(said())) == RUNNING


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (COMPLETE, ExitCode.OK, "Complete. `atoll report digits"),
        (FAILED, ExitCode.FINAL, "IslandsLost: island-0 broke; `atoll logs digits"),
    ],
)
def test_watching_ends_as_a_run_does(
    status: TrainingJobStatus, code: int, expected: str, lab: Lab, said: Callable[[], str]
) -> None:
    lab.atoll("submit", lab.file())
    lab.says(status)
    assert lab.atoll("status", "digits", "--watch") == code
    assert expected in said()
    assert lab.atoll("submit", lab.file(), "--watch") == code


def test_all_jobs_of_a_namespace(lab: Lab, said: Callable[[], str]) -> None:
    assert lab.atoll("status") == ExitCode.OK
    assert f"no TrainingJobs in namespace {lab.world.namespace}" in said()
    for name in ("b", "a"):
        lab.atoll("submit", lab.file(name))
    lab.says(RUNNING, "b")
    said()
    assert lab.atoll("status") == ExitCode.OK
    rows = [line.split()[:3] for line in said().splitlines()]
    assert rows[1:] == [["a", "Pending", "ExpertEnsemble"], ["b", "Running", "ExpertEnsemble"]]
    assert lab.atoll("status", "--json") == ExitCode.OK
    assert [it["name"] for it in json.loads(said())] == ["a", "b"]


def test_stopped_and_going_on(lab: Lab, said: Callable[[], str]) -> None:
    lab.atoll("submit", lab.file())
    for command, suspended in (("suspend", True), ("suspend", True), ("resume", False)):
        assert lab.atoll(command, "digits") == ExitCode.OK
        assert lab.job()["spec"]["suspend"] is suspended
    assert "is suspended already" in said()


def test_deleting_asks(lab: Lab, said: Callable[[], str]) -> None:
    lab.atoll("submit", lab.file())
    assert lab.atoll("delete", "digits") == ExitCode.USAGE
    assert "say --yes" in said()
    assert lab.atoll("delete", "digits", "--yes") == ExitCode.OK
    assert "digits: deleted" in said()
    assert lab.is_gone()
    assert lab.atoll("delete", "digits", "--yes") == ExitCode.FAILED


@pytest.mark.parametrize("command", ["status", "suspend", "pull", "report", "logs"])
def test_a_job_that_is_not_there(command: str, lab: Lab, said: Callable[[], str]) -> None:
    lab.atoll("submit", lab.file())
    said()
    assert lab.atoll(command, "digit") == ExitCode.FAILED
    assert "no TrainingJob of that name" in (shown := said())
    assert "did you mean digits?" in shown


@pytest.mark.parametrize("command", ["pull", "report"])
def test_a_job_that_nobody_has_accepted(command: str, lab: Lab, said: Callable[[], str]) -> None:
    lab.atoll("submit", lab.file())
    assert lab.atoll(command, "digits") == ExitCode.FAILED
    assert "no operator has accepted it yet" in said()


def test_a_namespace_that_is_not_there(lab: Lab, said: Callable[[], str]) -> None:
    nowhere = ("-n", "nowhere", "--kubeconfig", str(lab.kubeconfig))
    for words in (["submit", lab.file()], ["status"], ["status", "digits"]):
        assert exit_code_of([*words, *nowhere]) == ExitCode.FAILED
        assert "has no namespace nowhere: say another --namespace" in said()


def edited(lab: Lab, **fields: Any) -> str:
    """A kubeconfig with another server or user."""
    import yaml

    document = yaml.safe_load(lab.kubeconfig.read_text())
    for section, field in (("clusters", "cluster"), ("users", "user")):
        document[section][0][field] |= fields.get(field, {})
    if "user" in fields:
        document["users"][0]["user"] = fields["user"]
    path = lab.folder / "edited"
    path.write_text(json.dumps(document))
    return str(path)


@pytest.mark.parametrize(
    ("fields", "code", "expected"),
    [
        ({"cluster": {"server": "https://127.0.0.1:9"}}, ExitCode.FAILED, "no answer from the API"),
        ({"user": {"token": "wrong"}}, ExitCode.FINAL, "does not know you: log in again"),
        ({"user": {}}, ExitCode.FINAL, "does not know you: log in again"),
    ],
)
def test_a_cluster_that_does_not_answer_or_does_not_know_one(
    fields: dict[str, Any], code: int, expected: str, lab: Lab, said: Callable[[], str]
) -> None:
    kubeconfig = edited(lab, **fields)
    assert exit_code_of(["status", "digits", "--kubeconfig", kubeconfig]) == code
    shown = said()
    assert expected in shown
    assert len(shown.splitlines()) == 1


def test_top_shows_the_only_job_that_is_going(lab: Lab, said: Callable[[], str]) -> None:
    assert lab.atoll("top") == ExitCode.FAILED
    assert "no TrainingJob" in said()
    for name, status in (("digits", RUNNING), ("done", COMPLETE), ("lost", FAILED)):
        lab.atoll("submit", lab.file(name))
        lab.says(status, name)
    said()
    assert lab.atoll("top") == ExitCode.OK
    shown = said()
    assert f"digits in {lab.world.namespace}   Running   40 %" in shown
    assert "4/8" in shown
    lab.atoll("submit", lab.file("other"))
    said()
    assert lab.atoll("top") == ExitCode.USAGE
    assert "2 are going: say which: digits, other" in said()
    assert lab.atoll("top", "other") == ExitCode.OK
    assert "other in" in said()
    assert lab.atoll("top", "nobody") == ExitCode.FAILED
    assert "no TrainingJob of that name" in said()
