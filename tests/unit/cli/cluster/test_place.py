"""Which cluster and which namespace, as kubectl chooses."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from atoll_api.exit_codes import ExitCode
from atoll_cli.cluster.place import Place, Wanted, find_place
from atoll_cli.errors import CliError


def kubeconfig(path: Path, current: str = "", **contexts: dict[str, Any]) -> Path:
    named = [{"name": name, "context": it} for name, it in contexts.items()]
    document = {"apiVersion": "v1", "kind": "Config", "contexts": named}
    path.write_text(json.dumps({**document, **({"current-context": current} if current else {})}))
    return path


def test_the_current_context_and_its_namespace(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "a", "lab", lab={"namespace": "team"}, other={})
    environ = {"KUBECONFIG": str(file)}
    assert find_place(Wanted(), environ) == Place("team", "lab", (file,))
    assert find_place(Wanted(context="other"), environ).namespace == "default"
    assert find_place(Wanted(namespace="mine"), environ).namespace == "mine"


def test_of_several_files_the_first_says_which_context(tmp_path: Path) -> None:
    one = kubeconfig(tmp_path / "one", lab={})
    two = kubeconfig(tmp_path / "two", "home", home={}, lab={"namespace": "hidden"})
    three = kubeconfig(tmp_path / "three", "lab", garden={})
    environ = {"KUBECONFIG": os.pathsep.join(map(str, (one, tmp_path / "none", two, three)))}
    assert find_place(Wanted(), environ) == Place("default", "home", (one, two, three))
    lab = find_place(Wanted(context="lab"), environ)
    assert lab.namespace == "default", "the first file that has a context counts"


def test_what_is_named_comes_before_the_environment(tmp_path: Path) -> None:
    named, home = tmp_path / "named", tmp_path / ".kube"
    home.mkdir()
    kubeconfig(named, "a", a={})
    kubeconfig(home / "config", "b", b={})
    assert find_place(Wanted(), {"HOME": str(tmp_path)}).context == "b"
    environ = {"HOME": str(tmp_path), "KUBECONFIG": str(home / "config")}
    assert find_place(Wanted(kubeconfig=named), environ).files == (named,)


def test_a_pod_speaks_to_its_own_cluster() -> None:
    environ = {"HOME": "/nowhere", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert find_place(Wanted(namespace="lab"), environ) == Place("lab", flags=" -n lab")
    with pytest.raises(CliError, match="no kubeconfig"):
        find_place(Wanted(context="a"), environ)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[", "not the YAML of a kubeconfig"),
        ("text", "not the YAML of a kubeconfig"),
        ("{}", "no current context: say --context; there is: none"),
        ('{"current-context": "x", "contexts": [{"name": "y"}]}', "no context x.*there is: y"),
    ],
)
def test_files_that_are_none(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(CliError, match=expected) as caught:
        find_place(Wanted(kubeconfig=file), {})
    assert caught.value.exit_code == ExitCode.FINAL


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=f"kubeconfig {tmp_path}: Is a directory"):
        find_place(Wanted(kubeconfig=tmp_path), {})
    with pytest.raises(CliError, match="no kubeconfig: say --kubeconfig FILE"):
        find_place(Wanted(), {"HOME": str(tmp_path)})


def test_flags_are_said_again() -> None:
    wanted = Wanted("lab", "my cluster", Path("/k"))
    assert wanted.flags == " -n lab --context 'my cluster' --kubeconfig /k"
    assert Wanted().flags == ""
