"""Every codec by its name: as a job spells it, and as a manifest does."""

from collections.abc import Callable, Mapping
from typing import Final

from torch import Tensor

from atoll_api.spec.exchange import Encoding
from atoll_worker.exchange.codecs import delta, int8, layout, narrow, raw, unchanged
from atoll_worker.exchange.codecs.base import Codec, ErrorBound

_ALONE: Final[Mapping[Encoding, Codec]] = {
    "Raw": raw.CODEC,
    "BFloat16": narrow.BFLOAT16,
    "Float16": narrow.FLOAT16,
    "Int8": int8.CODEC,
}
_AGAINST: Final[Mapping[str, Callable[[Tensor], Codec]]] = {
    layout.DELTA: delta.against,
    layout.UNCHANGED: unchanged.against,
}
_DECODERS: Final = {codec.name: codec for codec in _ALONE.values()}

ENCODINGS: Final[Mapping[str, Encoding]] = {
    **{codec.name: name for name, codec in _ALONE.items()},
    **dict.fromkeys(_AGAINST, "Delta"),
}
"""The job's name of each encoding, by the manifest's."""
BOUNDS: Final[Mapping[Encoding, ErrorBound]] = {
    **{name: codec.bound for name, codec in _ALONE.items()},
    "Delta": delta.BOUND,
}


def encoders(encoding: Encoding, base: Tensor | None = None) -> tuple[Codec, ...]:
    """The codecs to try on a tensor, in this order; raw, the last, takes everything.

    Args:
        encoding: What the job asks for.
        base: What both sides hold instead of the tensor; only a Delta uses it.
    """
    if encoding == "Raw":
        return (raw.CODEC,)
    if encoding != "Delta":
        return (_ALONE[encoding], raw.CODEC)
    if base is None:
        return (raw.CODEC,)
    return (*(make(base) for make in _AGAINST.values()), raw.CODEC)


def decoder(name: str, base: Tensor | None = None) -> Codec | None:
    """The codec of a manifest's encoding; None where that needs a base and there is none."""
    if name not in _AGAINST:
        return _DECODERS[name]
    return None if base is None else _AGAINST[name](base)
