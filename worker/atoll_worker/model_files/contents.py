"""Names for what is in a model, whatever its files are called and however it is sharded."""

import json
from collections.abc import Mapping
from typing import Final

from blake3 import blake3

from atoll_worker.model_files.header import Form

UNKNOWN: Final = "blake3:" + 64 * "0"
"""Stands where a digest will be; no longer and no shorter than one."""


def digest_of(tensors: Mapping[str, tuple[Form, str]]) -> str:
    """The digest of a model, from the forms of its tensors and the hex digests of their bytes.

    BLAKE3 over a line of JSON a tensor, [name, type, shape, digest], in the order of names. So
    equal weights have equal digests, be they in one file or in many.
    """
    hasher = blake3()
    for name in sorted(tensors):
        form, digest = tensors[name]
        hasher.update(json.dumps([name, form.dtype, form.shape, digest]).encode() + b"\n")
    return f"blake3:{hasher.hexdigest()}"
