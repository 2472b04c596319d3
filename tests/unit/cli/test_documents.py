"""YAML as people mean it, and files that are none."""

from pathlib import Path

import pytest
import yaml
from builders import SMALLEST

from atoll_api.crd import custom_resource_definition
from atoll_api.problems import InvalidJobError
from atoll_cli.documents import read_job, to_yaml
from atoll_cli.errors import CliError, ExitCode

JOB = """
apiVersion: atoll.dev/v1alpha1
kind: TrainingJob
metadata: {name: digits}
spec:
  task: {type: Diffusion, diffusion: {conditioning: None}}
  data: {source: "builtin://digits"}
  islands: {count: 4}
  training: {optimizer: {learningRate: 1e-3}}
  strategy: {type: ExpertEnsemble}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "job.yaml"
    path.write_text(text)
    return path


def test_numbers_are_read_as_yaml_1_2(tmp_path: Path) -> None:
    job = read_job(write(tmp_path, JOB))
    assert job.spec.training.optimizer.learning_rate == 1e-3
    assert yaml.safe_load("1e-3") == "1e-3"  # the trap: YAML 1.1 reads a string


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1", "line 1, column"),
        ("[" * 3000, "line 1, column 101: more than 100 brackets in one another"),
        ('{"a":' * 3000, "more than 100 brackets in one another"),
        ("a: 1\na: 2\n", "found duplicate key"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("\t", "line 1, column 1"),
        ("a:\n%YAML 9.9\n\n  b: 1", "names a version of YAML that nobody reads"),
        ("!!timestamp 2026-99-99 " + "- " * 3000, "failed to construct timestamp"),
    ],
)
def test_what_is_not_yaml_says_where(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(CliError, match=expected) as caught:
        read_job(write(tmp_path, text))
    assert caught.value.exit_code == ExitCode.INVALID
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "text", ["", "---\n---\n", "text", "- 1", "x: &x [*x]", "spec: &x {data: *x}"]
)
def test_what_is_no_job_is_a_problem(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidJobError):
        read_job(write(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path, expected in [
        (tmp_path / "none.yaml", "no such file; give the path"),
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "binary", "not a text file in UTF-8"),
    ]:
        with pytest.raises(CliError, match=expected):
            read_job(path)


@pytest.mark.parametrize(
    "document", [SMALLEST, custom_resource_definition(), {"a": "no", "b": "1e3", "c": "0o7"}]
)
def test_what_we_print_reads_the_same_as_yaml_1_1(document: dict[str, object]) -> None:
    assert yaml.safe_load(to_yaml(document)) == document
