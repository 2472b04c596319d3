"""Text to tokens and back. A token is a byte of UTF-8: no vocabulary, no file, no loss."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

VOCABULARY: Final = 256
"""Tokens that there are."""
NAME: Final = "UTF-8 bytes"
"""For contracts and manifests."""


def encode(text: str) -> Tensor:
    """The tokens (L,) of a text, uint8."""
    return tokens_of(text.encode())


def tokens_of(content: bytes) -> Tensor:
    """The tokens (L,) of encoded text, uint8."""
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8).copy())


def bytes_of(token_L: Tensor) -> bytes:
    """Tokens (L,) as encoded text, which may begin or end inside a character."""
    return token_L.to(torch.uint8).contiguous().numpy().tobytes()


def decode(token_L: Tensor) -> str:
    """Tokens (L,) as text; bytes that are no UTF-8 become U+FFFD."""
    return bytes_of(token_L).decode(errors="replace")
