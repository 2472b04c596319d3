"""Models on the disk that were damaged: merged all the same, or refused in a line that names a file."""

import shutil
from pathlib import Path
from random import Random
from typing import Final

import model_folders
import torch
from command_lines import told
from damage import damaged_folder, read_folder, write_folder
from fuzzing import Fuzz
from safetensors import safe_open
from torch import Tensor

from atoll_api.exit_codes import ExitCode

METHODS: Final = (
    (), (), ("--method", "slerp"), ("--method", "ties", "--base", "{}/base.safetensors"),
    ("--method", "dare", "--base", "{}/base.safetensors", "--density", "0.3"),
    ("--dtype", "float16"), ("--weights", "0.7,0.3"), ("--max-shard-size", "1KB"),
)  # fmt: skip


def small(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "embed": torch.randn((13, 7), generator=generator).to(torch.bfloat16),
        "norm": torch.randn((7,), generator=generator),
        "scale": torch.tensor(1.0),
        "nothing": torch.zeros((0, 4)),
        "steps": torch.tensor([seed, 7]),
    }


def written(folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    for seed, name in enumerate(("a", "b", "base")):
        model_folders.write_file(folder / f"{name}.safetensors", small(seed))
        model_folders.write_folder(folder / name, small(seed))
    return read_folder(folder)


def test_model_files(fuzz: Fuzz, tmp_path: Path) -> None:
    files = written(tmp_path / "whole")
    folder, output = tmp_path / "damaged", tmp_path / "output"
    kinds = (".safetensors", "")

    def case(random: Random) -> str:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(output, ignore_errors=True)
        kind = random.choice(kinds)
        read = {
            it: files[it]
            for it in files
            if it.endswith(".safetensors") != ("/" in it) or kind == ""
        }
        own = {it: content for it, content in read.items() if ("/" in it) == (kind == "")}
        others = {it: content for it, content in files.items() if it not in own}
        write_folder(folder, {**others, **damaged_folder(random, own)})
        output.mkdir()
        place = output / ("m.safetensors" if kind or random.random() < 0.5 else "m")
        options = [it.format(folder) for it in random.choice(METHODS)]
        models = [folder / f"a{kind}", folder / f"b{kind}"]
        code, _ = told("merge", *models, "-o", place, *options)
        if code is ExitCode.OK:
            for file in place.glob("*.safetensors") if place.is_dir() else (place,):
                with safe_open(file, "pt") as merged:
                    for name in merged.keys():  # noqa: SIM118 - it is no dict
                        assert merged.get_tensor(name) is not None
        else:
            assert list(output.iterdir()) == [], "something was left behind"
        return code.name

    fuzz.run("model files", case, {"OK", "FINAL"})
