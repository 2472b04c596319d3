"""The files beside the weights that a model needs to be used: config and tokenizer."""

import json
from pathlib import Path
from typing import Final

from atoll_worker.model_files.source import json_of

_CONFIG: Final = "config.json"
_PATTERNS: Final = (
    *(_CONFIG, "generation_config.json", "preprocessor_config.json", "processor_config.json"),
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*"),
    *("vocab.*", "merges.txt", "spiece.model", "sentencepiece*.model", "LICENSE*"),
)


def companions(folder: Path, dtype: str | None) -> dict[str, bytes]:
    """The content of each, by name.

    Args:
        folder: Of the model that they are taken from.
        dtype: What the weights are converted to, as config.json calls it (`bfloat16`), if they are.
    """
    paths = {path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()}
    found = {path.name: path.read_bytes() for path in sorted(paths)}
    if dtype and _CONFIG in found:
        found[_CONFIG] = _with_type(folder / _CONFIG, dtype)
    return found


def _with_type(config: Path, dtype: str) -> bytes:
    """The config with the type of the weights, under the names that it has had."""
    document = json_of(config)
    for key in ("torch_dtype", "dtype"):
        if key in document:
            document[key] = dtype
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
