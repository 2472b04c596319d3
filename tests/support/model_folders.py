"""Small models on the disk, as Hugging Face lays them out, for tests of merging."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

CONFIG: dict[str, object] = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 3,
    "torch_dtype": "bfloat16",
}
VOCABULARY = {"a": 0, "b": 1, "c": 2}


def tensors(seed: int, dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
    """A model of a few shapes: none a multiple of anything, one larger than a piece."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    return {
        "embed": drawn(431, 317),
        "layer.0.norm": drawn(317),
        "layer.0.up": drawn(31, 317),
        "layer.1.up": drawn(31, 317),
        "scale": drawn(),
        "nothing": drawn(0, 4),
        "steps": torch.tensor([seed, 7]),
        "mask": torch.tensor([True, seed % 2 == 0, False]),
    }


def write_file(path: Path, model: Mapping[str, Tensor]) -> Path:
    """One safetensors file."""
    save_file(dict(model), path)
    return path


def write_folder(
    path: Path,
    model: Mapping[str, Tensor],
    config: Mapping[str, object] = CONFIG,
    vocabulary: Mapping[str, int] | None = None,
) -> Path:
    """A folder of two shards with index, config and tokenizer."""
    path.mkdir()
    names = list(model)
    weight_map: dict[str, str] = {}
    for i, part in enumerate((names[:3], names[3:]), 1):
        file = f"model-{i:05}-of-00002.safetensors"
        save_file({name: model[name] for name in part}, path / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    (path / "config.json").write_text(json.dumps(config))
    tokenizer = {"model": {"vocab": vocabulary or VOCABULARY}}
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (path / "pytorch_model.bin").write_bytes(b"not to be copied")
    return path


def read_folder(path: Path) -> dict[str, Tensor]:
    """All tensors of a folder, by the reference loader and the index."""
    index = path / "model.safetensors.index.json"
    if not index.exists():
        return load_file(path / "model.safetensors")
    weight_map = json.loads(index.read_text())["weight_map"]
    found: dict[str, Tensor] = {}
    for file in sorted(set(weight_map.values())):
        part = load_file(path / file)
        assert {name for name, of in weight_map.items() if of == file} == set(part)
        found |= part
    return found
