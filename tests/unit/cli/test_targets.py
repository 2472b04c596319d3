"""A folder that is there, or else a TrainingJob: one place decides."""

import json
from pathlib import Path

import pytest

from atoll_api.exit_codes import ExitCode
from atoll_cli.cluster.place import Wanted
from atoll_cli.errors import CliError
from atoll_cli.targets import ClusterJob, Run, cluster_job, locate


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    context = {"name": "lab", "context": {"namespace": "team"}}
    path.write_text(json.dumps({"current-context": "lab", "contexts": [context]}))
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    (tmp_path / "digits").mkdir()
    return tmp_path


def test_a_folder_comes_before_a_job_of_its_name() -> None:
    assert locate("digits", Wanted()) == Run(Path("digits"))
    found = locate("other", Wanted())
    assert isinstance(found, ClusterJob)
    assert (found.name, found.place.namespace, found.title) == ("other", "team", "other")


def test_whoever_names_a_cluster_means_a_job() -> None:
    found = locate("digits", Wanted(namespace="lab"))
    assert isinstance(found, ClusterJob)
    assert found.title == "digits -n lab"


@pytest.mark.parametrize("text", ["runs/none", "./none", "None", "x" * 41])
def test_what_no_job_is_called_is_a_folder(text: str) -> None:
    assert locate(text, Wanted()) == Run(Path(text))
    with pytest.raises(CliError, match="not the name of a TrainingJob"):
        cluster_job(text, Wanted())


def test_neither_a_folder_nor_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(CliError, match="no such folder here, and no cluster to ask") as caught:
        locate("other", Wanted())
    assert caught.value.exit_code == ExitCode.FINAL
