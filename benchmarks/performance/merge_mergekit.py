"""mergekit beside `atoll merge`: the same files, by its own command line, in its own environment.

In mergekit's favour: its command for plain tensors, which looks for no model in the network and for
no tokenizer; all cores for torch; nothing is synced to the disk, nothing digested.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchange_peers import environment

VERSION: Final = "0.1.5"
REQUIREMENTS: Final = (
    f"mergekit=={VERSION}",
    "torch==2.15.0",
    "transformers==5.23.0",
    "safetensors==0.8.0",
)
_METHODS: Final = {"mean": "linear", "ties": "ties"}


def program(peers_folder: Path) -> Path:
    """Its command, installed if it is not there."""
    return environment(peers_folder, "mergekit", REQUIREMENTS) / "mergekit-pytorch"


def variables() -> dict[str, str]:
    """The environment that it runs in: ours, without what is ours alone."""
    alien = ("PYTHONPATH", "OMP_NUM_THREADS")
    kept = {key: it for key, it in os.environ.items() if key not in alien}
    return {**kept, "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Merge:
    """What is merged how."""

    method: str
    dtype: str
    """In which it computes."""
    density: float


def recipe(merge: Merge, models: list[Path], base: Path) -> str:
    """What it is told to do, in its own words."""
    lines = [f"merge_method: {_METHODS[merge.method]}", f"dtype: {merge.dtype}"]
    lines.append("out_dtype: bfloat16")
    if merge.method == "ties":
        lines += [
            f"base_model: {base}",
            f"parameters: {{density: {merge.density}, normalize: true}}",
        ]
    lines += ["models:"]
    for model in models:
        lines += [f"  - model: {model}", "    parameters: {weight: 1.0}"]
    return "\n".join(lines) + "\n"
