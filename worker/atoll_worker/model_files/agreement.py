"""Whether models belong together: the same tensors of the same shapes, one config, one vocabulary.

All is looked at before a tensor is read, and the first difference is named.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from atoll_worker.errors import ContractError
from atoll_worker.model_files.floats import FLOATS
from atoll_worker.model_files.header import Form
from atoll_worker.model_files.source import Model, json_of

_SAME_KEYS: Final = (
    *("architectures", "model_type", "vocab_size", "hidden_size", "intermediate_size"),
    *("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"),
    *("tie_word_embeddings", "hidden_act", "rope_theta", "rms_norm_eps", "layer_norm_epsilon"),
)
"""Of config.json: what the weights mean nothing without."""


def check(models: Sequence[Model]) -> None:
    """Refuse models that cannot be merged with the first.

    Raises:
        ContractError: the message names the model, and the key, token or tensor that differs.
    """
    for model in models[1:]:
        _check_configs(models[0], model)
        _check_vocabularies(models[0], model)
    for name, stored in models[0].tensors.items():
        if stored.form.dtype.startswith("F8"):
            raise ContractError(
                f"{models[0].path}: tensor {name!r} is {stored.form.dtype}: convert the model to "
                "BF16 first"
            )
    for model in models[1:]:
        _check_tensors(models[0], model)


def _check_tensors(first: Model, model: Model) -> None:
    for name in first.tensors:
        if name not in model.tensors:
            raise ContractError(
                f"{model.path}: has no tensor {name!r}, which {first.path} has: "
                "another architecture, or tied weights that one of them saved"
            )
    for name, stored in model.tensors.items():
        if name not in first.tensors:
            raise ContractError(
                f"{model.path}: has a tensor {name!r}, which {first.path} has not: "
                "another architecture, or tied weights that one of them saved"
            )
        if problem := _difference(first.tensors[name].form, stored.form):
            raise ContractError(f"{model.path}: tensor {name!r} {problem} in {first.path}")


def _difference(first: Form, other: Form) -> str:
    """What keeps two tensors from being merged; types of floats may differ."""
    if first.shape != other.shape:
        return f"has shape {list(other.shape)}, but {list(first.shape)}"
    if first.dtype != other.dtype and not {first.dtype, other.dtype} <= FLOATS:
        return f"is {other.dtype}, but {first.dtype}"
    return ""


def _check_configs(first: Model, model: Model) -> None:
    ours, theirs = _document(first, "config.json"), _document(model, "config.json")
    if ours is None or theirs is None:
        return
    for key in _SAME_KEYS:
        if ours.get(key) != theirs.get(key):
            raise ContractError(
                f"{model.path}: config.json has {key} {theirs.get(key)!r}, {first.path} has "
                f"{ours.get(key)!r}: merge models of one architecture"
            )


def _check_vocabularies(first: Model, model: Model) -> None:
    ours, theirs = _vocabulary(first), _vocabulary(model)
    if ours is None or theirs is None or ours == theirs:
        return
    token = min(token for token in {**ours, **theirs} if ours.get(token) != theirs.get(token))
    raise ContractError(
        f"{model.path}: tokenizer.json has token {token!r} as {theirs.get(token)}, {first.path} "
        f"as {ours.get(token)}: merge models of one vocabulary"
    )


def _vocabulary(model: Model) -> Mapping[str, object] | None:
    """Tokens and their numbers, or, where a tokenizer keeps a list, their scores."""
    document = _document(model, "tokenizer.json") or {}
    inner = document.get("model")
    match inner.get("vocab") if isinstance(inner, dict) else None:
        case dict(numbers):
            return numbers
        case list(scores):
            return {str(token): place for place, token in enumerate(scores)}
        case _:
            return None


def _document(model: Model, name: str) -> dict[str, Any] | None:
    path = Path(model.folder or "") / name
    if model.folder is None or not path.is_file():
        return None
    document = json_of(path)
    return document if isinstance(document, dict) else None
