"""The example of text with few steps, and `atoll sample` on what it trained."""

import json
from pathlib import Path

import pytest
from atoll_runs import atoll, digests

from atoll_api.exit_codes import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/text.yaml"
PROMPT = "def main("


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("text")
    short = EXAMPLE.read_text()
    for found, planted in (("steps: 200", "steps: 8"), ("seedSteps: 100", "seedSteps: 4")):
        assert found in short
        short = short.replace(found, planted)
    (where / "job.yaml").write_text(short)
    result = atoll("run", where / "job.yaml", "--out", where / "out")
    assert result.returncode == ExitCode.OK, result.stderr + result.stdout
    assert "bits per byte" in result.stdout
    assert "FD to train" not in result.stdout
    return where / "out"


def sampled(folder: Path, *options: str) -> str:
    result = atoll("sample", folder, *options)
    assert result.returncode == ExitCode.OK, result.stderr
    return result.stdout


def test_it_ends_with_bits_per_byte_in_its_status(folder: Path) -> None:
    status = json.loads(atoll("status", folder, "--json").stdout)
    assert status["state"] == "Complete"
    told = {(it["model"], it["name"]) for it in status["evaluation"]["metrics"]}
    assert {("Full", "BitsPerByte"), ("Average", "BitsPerByte")} < told
    bound = digests(folder)
    assert {"seed", "clusters", "experts/3", "baseline", "report"} < bound.keys()
    assert "router" not in bound


def test_texts_begin_with_the_prompt_and_follow_the_seed(folder: Path) -> None:
    first = sampled(folder, "--prompt", PROMPT, "--tokens", "12", "--seed", "1")
    assert first.startswith(PROMPT)
    assert sampled(folder, "--prompt", PROMPT, "--tokens", "12", "--seed", "1") == first
    greedy = ("--tokens", "12", "--temperature", "0", "--prompt", PROMPT)
    assert sampled(folder, *greedy, "--seed", "1") == sampled(folder, *greedy, "--seed", "2")


def test_texts_go_to_a_file_and_beyond_the_context(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    options = ("-n", "2", "-o", str(path), "--tokens", "20", "--combine", "TopK")
    assert "2 texts, TopK" in sampled(folder, *options, "--prompt", "word " * 50)
    assert path.read_text(errors="replace").count("word " * 50) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--combine", "Oracle"), "Oracle is told which part a text belongs to"),
        (("-o", "/nowhere/x.txt"), "there is no folder /nowhere"),
    ],
)
def test_what_cannot_be_written(folder: Path, options: tuple[str, ...], said: str) -> None:
    result = atoll("sample", folder, *options)
    assert result.returncode == ExitCode.FAILED
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
