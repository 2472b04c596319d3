"""Files in, a file out: against torch and safetensors' own loader, whole or not at all."""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from model_folders import read_folder, tensors, write_file, write_folder
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from atoll_api.exit_codes import ExitCode
from atoll_cli.signals import terminable
from atoll_worker.merge.mean import weighted_mean
from atoll_worker.merge.methods import METHODS, Options
from atoll_worker.merge.pieces import merged as merged_in_memory
from atoll_worker.model_files.merging import Merged, Request, merge_files
from atoll_worker.model_files.recipe import Recipe

DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


def silent(done: int, total: int) -> None:
    del done, total


def merge(*models: Path, output: Path, **options: object) -> Merged:
    recipe = {it: options.pop(it) for it in ("method", "base", "weights") if it in options}
    request = Request(Recipe(models, **recipe), output, **options)  # type: ignore[arg-type]
    return merge_files(request, silent)


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


def mean_of(models: list[dict[str, Tensor]], weights: list[float]) -> dict[str, Tensor]:
    return {name: weighted_mean([model[name] for model in models], weights) for name in models[0]}


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_has_the_bits_of_the_one_in_memory(tmp_path: Path, dtype: torch.dtype) -> None:
    models = [tensors(seed, dtype) for seed in range(3)]
    files = [write_file(tmp_path / f"{i}.safetensors", it) for i, it in enumerate(models)]
    output = tmp_path / "out.safetensors"
    merged = merge(*files, output=output, weights=(0.2, 0.5, 3.0))
    assert_same(load_file(output), mean_of(models, [0.2, 0.5, 3.0]))
    assert merged.size_bytes == output.stat().st_size
    assert merged.tensors == len(models[0])


def test_types_may_differ_and_the_first_decides(tmp_path: Path) -> None:
    models = [tensors(i, dtype) for i, dtype in enumerate(DTYPES)]
    files = [write_file(tmp_path / f"{i}.safetensors", it) for i, it in enumerate(models)]
    merge(*files, output=tmp_path / "out.safetensors")
    for name, tensor in load_file(tmp_path / "out.safetensors").items():
        assert tensor.dtype == models[0][name].dtype


def test_a_result_can_be_converted(tmp_path: Path) -> None:
    models = [tensors(seed) for seed in range(2)]
    folders = [write_folder(tmp_path / str(i), it) for i, it in enumerate(models)]
    merge(*folders, output=tmp_path / "out", dtype="float32")
    wide = [{n: t.float() if t.is_floating_point() else t for n, t in m.items()} for m in models]
    assert_same(read_folder(tmp_path / "out"), mean_of(wide, [1, 1]))
    assert json.loads((tmp_path / "out/config.json").read_text())["torch_dtype"] == "float32"


@pytest.mark.parametrize("method", ["slerp", "ties", "dare"])
def test_a_large_tensor_is_merged_as_it_would_be_in_one_piece(tmp_path: Path, method: str) -> None:
    models = [tensors(seed, torch.float32) for seed in range(3)]
    files = [write_file(tmp_path / f"{i}.safetensors", it) for i, it in enumerate(models)]
    needs_base = METHODS[method].needs_base
    options = {"base": files[0]} if needs_base else {}
    output = tmp_path / "out.safetensors"
    merge(*files[1:], output=output, method=method, **options)
    found = load_file(output)
    made = METHODS[method].make(Options(weights=(1, 1)))
    for name, tensor in found.items():
        sources = [model[name].numpy() for model in models[0 if needs_base else 1 :]]
        if tensor.is_floating_point():
            expected = torch.from_numpy(merged_in_memory(made, name, sources))
            torch.testing.assert_close(tensor, expected, rtol=1e-6, atol=1e-6)
        else:
            assert torch.equal(tensor, models[1][name])


def test_a_sharded_folder_goes_in_and_out(tmp_path: Path) -> None:
    models = [tensors(seed) for seed in range(2)]
    folders = [write_folder(tmp_path / str(i), it) for i, it in enumerate(models)]
    output = tmp_path / "out"
    merged = merge(*folders, output=output, max_shard_bytes=30_000)
    assert_same(read_folder(output), mean_of(models, [1, 1]))
    index = json.loads((output / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(it.nbytes for it in models[0].values())
    names = sorted(path.name for path in output.iterdir())
    assert "model-00001-of-00003.safetensors" in names
    assert "pytorch_model.bin" not in names
    assert (output / "config.json").read_bytes() == (folders[0] / "config.json").read_bytes()
    assert (output / "tokenizer.json").exists()
    single = merge(*folders, output=tmp_path / "one")
    assert (tmp_path / "one/model.safetensors").exists()
    assert single.digest == merged.digest  # of what is in it, however it is sharded


def test_equal_inputs_give_equal_bytes_that_say_what_they_are_of(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        for name, seed in (("a", 0), ("b", 1), ("base", 2)):
            write_file(tmp_path / folder / f"{name}.safetensors", tensors(seed))
    made = [
        merge(
            *(tmp_path / folder / name for name in ("a.safetensors", "b.safetensors")),
            output=tmp_path / folder / "out.safetensors",
            method="dare",
            base=tmp_path / folder / "base.safetensors",
        )
        for folder in ("x", "y")
    ]
    assert made[0].digest == made[1].digest
    assert made[0].path.read_bytes() == made[1].path.read_bytes()
    with safe_open(made[0].path, "pt") as file:
        recipe = json.loads(file.metadata()["atoll.merge"])
    copy = merge(
        *[tmp_path / "x/a.safetensors"] * 2, output=tmp_path / "copy.safetensors"
    )  # a mean of one model is that model
    assert recipe["models"][0] == {"name": "a.safetensors", "digest": copy.digest}
    assert recipe["base"]["name"] == "base.safetensors"
    assert (recipe["method"], recipe["seed"], recipe["density"]) == ("dare", 0, 0.5)
    assert recipe["weights"] == [1, 1]


def test_the_number_of_threads_changes_no_bit(tmp_path: Path) -> None:
    files = [write_file(tmp_path / f"{i}.safetensors", tensors(i)) for i in range(3)]
    outputs = []
    for threads in (1, 4):
        output = tmp_path / f"out{threads}.safetensors"
        merge(*files[1:], output=output, method="ties", base=files[0], threads=threads)
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]


def test_progress_goes_up_to_all(tmp_path: Path) -> None:
    files = [write_file(tmp_path / f"{i}.safetensors", tensors(i)) for i in range(2)]
    said: list[tuple[int, int]] = []
    request = Request(Recipe(tuple(files)), tmp_path / "out.safetensors")
    merge_files(request, lambda done, total: said.append((done, total)))
    assert said == sorted(said)
    total = sum(it.nbytes for it in tensors(0).values())
    assert said[-1] == (total, total)


def test_force_replaces_a_model(tmp_path: Path) -> None:
    models = [tensors(seed) for seed in range(3)]
    folders = [write_folder(tmp_path / str(i), it) for i, it in enumerate(models)]
    merge(*folders[:2], output=tmp_path / "out", max_shard_bytes=30_000)
    merge(*folders[1:], output=tmp_path / "out", force=True)
    assert_same(read_folder(tmp_path / "out"), mean_of(models[1:], [1, 1]))
    assert not (tmp_path / "out/model.safetensors.index.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "out"]


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))


@pytest.mark.parametrize("output", ["out.safetensors", "out"])
def test_a_full_disk_leaves_nothing_and_what_was_there(tmp_path: Path, output: str) -> None:
    files = [write_file(tmp_path / f"{i}.safetensors", tensors(i)) for i in range(2)]
    if output == "out":
        merge(*files, output=tmp_path / output)
        before = read_folder(tmp_path / output)
    names = sorted(tmp_path.iterdir())
    command = [sys.executable, "-m", "atoll_cli", "merge", *map(str, files), "--force"]
    ended = subprocess.run(
        [*command, "-o", str(tmp_path / output)],
        preexec_fn=limit_files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 74
    assert ended.stderr.startswith(f"atoll: {tmp_path / output} needs 3")
    assert ended.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == names
    if output == "out":
        assert_same(read_folder(tmp_path / output), before)


def test_an_interrupted_merge_leaves_nothing(tmp_path: Path) -> None:
    files = [write_file(tmp_path / f"{i}.safetensors", tensors(i)) for i in range(2)]
    names = sorted(tmp_path.iterdir())

    def interrupt(done: int, total: int) -> None:
        assert len(list(tmp_path.iterdir())) == len(names) + 1
        raise KeyboardInterrupt((done, total))

    for output in ("out", "out.safetensors"):
        with pytest.raises(KeyboardInterrupt):
            merge_files(Request(Recipe(tuple(files)), tmp_path / output), interrupt)
        assert sorted(tmp_path.iterdir()) == names


def test_a_terminated_command_unwinds() -> None:
    with pytest.raises(SystemExit) as ended, terminable():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == ExitCode.TERMINATED
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
