"""What cannot be merged is refused in a line that names the file, the tensor, the key or the option;
nothing is written."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from model_folders import CONFIG, VOCABULARY, tensors, write_file, write_folder
from torch import Tensor

from atoll_cli.__main__ import exit_code_of
from atoll_cli.commands import merge
from atoll_worker.merge.methods import METHODS
from atoll_worker.model_files.recipe import DTYPES

Prepare = Callable[[Path], list[str]]
"""Makes models in a folder; the command line, without the output."""


def two(change: Callable[[dict[str, Tensor]], object], *options: str) -> Prepare:
    """A good model, and one that is changed."""

    def prepare(folder: Path) -> list[str]:
        changed = tensors(1)
        change(changed)
        good = write_file(folder / "good.safetensors", tensors(0))
        return [str(good), str(write_file(folder / "bad.safetensors", changed)), *options]

    return prepare


def damaged(damage: Callable[[bytes], bytes]) -> Prepare:
    def prepare(folder: Path) -> list[str]:
        arguments = two(dict.copy)(folder)
        bad = folder / "bad.safetensors"
        bad.write_bytes(damage(bad.read_bytes()))
        return arguments

    return prepare


def folders(change: Callable[[Path], object], **options: object) -> Prepare:
    """A good folder, and one that is changed."""

    def prepare(folder: Path) -> list[str]:
        good = write_folder(folder / "good", tensors(0))
        bad = write_folder(folder / "bad", tensors(1), **options)  # type: ignore[arg-type]
        change(bad)
        return [str(good), str(bad)]

    return prepare


def index_of(folder: Path) -> Path:
    return folder / "model.safetensors.index.json"


def change_index(change: Callable[[dict[str, str]], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        index = json.loads(index_of(folder).read_text())
        change(index["weight_map"])
        index_of(folder).write_text(json.dumps(index))

    return changed


def same(_: object) -> None:
    pass


NAN = torch.full((431, 317), float("nan"), dtype=torch.bfloat16)
SIGNALLING = torch.tensor(0x7FA00000, dtype=torch.int32).view(torch.float32)
"""To compute with it is a warning of numpy, on the terminal of whoever merges."""
CASES: dict[str, tuple[Prepare, str]] = {
    "missing tensor": (two(lambda it: it.pop("layer.0.up")), "bad.safetensors: has no tensor 'lay"),
    "extra tensor": (two(lambda it: it.update(more=NAN)), "has a tensor 'more'"),
    "other shape": (
        two(lambda it: it.update({"layer.0.norm": torch.ones(3)})),
        "bad.safetensors: tensor 'layer.0.norm' has shape [3], but [317] in",
    ),
    "an integer for a float": (
        two(lambda it: it.update({"layer.0.norm": torch.ones(317, dtype=torch.int8)})),
        "'layer.0.norm' is I8, but BF16",
    ),
    "NaN": (two(lambda it: it.update(embed=NAN)), "bad.safetensors: tensor 'embed' holds NaN"),
    "a NaN that signals": (
        two(lambda it: it.update(scale=SIGNALLING), "--method", "slerp"),
        "tensor 'scale' holds NaN",
    ),
    "infinity": (two(lambda it: it["scale"].fill_(torch.inf)), "tensor 'scale' holds NaN or inf"),
    "too large for its type": (
        two(lambda it: it["scale"].fill_(3e38), "--dtype", "float16"),
        "tensor 'scale' of the merged model is too large for F16: give --dtype float32",
    ),
    "zero weights": (two(same, "--weights", "0,0"), "all weights are 0"),
    "negative weight": (two(same, "--weights", "1,-1"), "weight -1: a weight is finite"),
    "weights by number": (two(same, "--weights", "1"), "1 weights for 2 models"),
    "no base": (two(same, "--method", "ties"), "ties merges changes against a base"),
    "density": (
        two(same, "--method", "dare", "--base", "{0}/good.safetensors", "--density", "2"),
        "density 2: the share",
    ),
    "an option of another method": (
        two(same, "--density", "0.5"),
        "--density is of no use to mean: it is for ties, dare",
    ),
    "a base for the mean": (two(same, "--base", "x"), "--base is of no use to mean"),
    "place": (two(same, "--method", "slerp", "--t", "2"), "t 2: from 0"),
    "one model": (lambda folder: two(same)(folder)[:1], "1 model to merge: give at least two"),
    "slerp of three": (
        lambda folder: [*two(same)(folder), str(folder / "good.safetensors"), "--method", "slerp"],
        "slerp merges 2 models, not 3",
    ),
    "no such file": (lambda folder: [*two(same)(folder), "none"], "none: no such file or folder"),
    "cut off": (damaged(lambda text: text[:-1]), "bad.safetensors: cut off: its tensors have"),
    "cut off in the header": (damaged(lambda text: text[:20]), "cut off"),
    "damaged header": (damaged(lambda text: text[:9] + b"}" + text[10:]), "its header is not JSON"),
    "pickle": (
        damaged(lambda _: b"PK\x03\x04" + bytes(999)),
        "bad.safetensors: not a safetensors file, or cut off",
    ),
    "empty": (damaged(lambda _: b""), "not a safetensors file"),
    "architectures": (
        folders(same, config={**CONFIG, "architectures": ["GPT2LMHeadModel"]}),
        "bad: config.json has architectures ['GPT2LMHeadModel']",
    ),
    "vocabulary size": (
        folders(same, config={**CONFIG, "vocab_size": 4}),
        "bad: config.json has vocab_size 4",
    ),
    "tied weights": (
        folders(same, config={**CONFIG, "tie_word_embeddings": True}),
        "config.json has tie_word_embeddings True",
    ),
    "vocabulary": (
        folders(same, vocabulary={**VOCABULARY, "b": 2, "c": 1}),
        "bad: tokenizer.json has token 'b' as 2",
    ),
    "config": (
        folders(lambda folder: (folder / "config.json").write_text("{")),
        "config.json: not JSON",
    ),
    "shard missing": (
        folders(lambda folder: (folder / "model-00002-of-00002.safetensors").unlink()),
        "model-00002-of-00002.safetensors: cannot be read: No such file",
    ),
    "index of more": (
        folders(change_index(lambda it: it.update(more="model-00001-of-00002.safetensors"))),
        "tensor 'more' is not in it, as model.safetensors.index.json says",
    ),
    "index of less": (
        folders(change_index(lambda it: it.pop("embed"))),
        "model.safetensors.index.json does not know its tensor 'embed'",
    ),
    "index that leads away": (
        folders(change_index(lambda it: it.update(embed="../good/x.safetensors"))),
        "tensor 'embed' is said to be in '../good/x.safetensors', not a file here",
    ),
    "no weights": (
        lambda folder: [*folders(same)(folder), str(folder)],
        "there is no .safetensors file in it",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_in_a_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare, expected = CASES[case]
    arguments = [word.format(tmp_path) for word in prepare(tmp_path)]
    before = sorted(tmp_path.iterdir())
    assert exit_code_of(["merge", *arguments, "-o", str(tmp_path / "out.safetensors")]) == 65
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_not_finite_is_merged_on_request(tmp_path: Path) -> None:
    arguments = two(lambda it: it.update(embed=NAN), "--allow-nonfinite")(tmp_path)
    assert exit_code_of(["merge", *arguments, "-o", str(tmp_path / "out.safetensors")]) == 0


def test_an_output_that_is_there_or_is_read_from_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = folders(same)(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/sub").mkdir()
    for output, expected in {
        "good": "good: is read from",
        ".": "is read from",
        "good/model-00001-of-00002.safetensors": "is read from",
        "mine": "mine: holds more than a model",
        "no/where": "there is no folder",
    }.items():
        assert exit_code_of(["merge", *models, "--force", "-o", str(tmp_path / output)]) in (65, 73)
        assert expected in capsys.readouterr().err
    assert exit_code_of(["merge", *models, "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'out'}: 8 tensors, 3")
    assert exit_code_of(["merge", *models, "-o", str(tmp_path / "out")]) == 73
    assert "exists: give another output, or --force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--weights", "a,b"], "numbers with commas between"),
        (["--max-shard-size", "5 apples"], "a size as in 500MB"),
        (["--method", "median"], "is not one of"),
    ],
)
def test_a_wrong_command_line_is_explained(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(["merge", "a", "b", "-o", "c", *words]) == 2
    assert expected in capsys.readouterr().err


def test_the_command_offers_what_there_is() -> None:
    offered = {it.name: it.type.choices for it in merge.command.params if it.name in TABLES}  # type: ignore[attr-defined]
    assert offered == TABLES


TABLES = {"method": tuple(METHODS), "dtype": tuple(DTYPES)}


def test_merging_does_not_load_torch(tmp_path: Path) -> None:
    arguments = ["merge", *two(same)(tmp_path), "-o", str(tmp_path / "out.safetensors")]
    code = (
        "import sys; from atoll_cli.__main__ import exit_code_of; "
        f"assert exit_code_of({arguments!r}) == 0; print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "False"
