"""Continue a text, token by token. Pure: all chance comes from the generator.

Shape suffixes: B batch, L tokens, V vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor

NextToken = Callable[[Tensor], Tensor]
"""Tokens (B, L) so far to the probabilities (B, V) of the next one."""


def continued(
    next_token: NextToken,
    prompt_BL: Tensor,
    tokens: int,
    temperature: float,
    generator: torch.Generator,
) -> Tensor:
    """The prompt (B, L) and `tokens` more.

    Args:
        next_token: the model or the mixture.
        prompt_BL: at least one token.
        tokens: how many to add.
        temperature: probabilities are raised to 1 / temperature; 0 takes the likeliest token.
        generator: one draw a text and token.
    """
    text_BL = prompt_BL
    for _ in range(tokens):
        drawn_B = _draw(next_token(text_BL), temperature, generator)
        text_BL = torch.cat([text_BL, drawn_B[:, None].to(text_BL.dtype)], dim=1)
    return text_BL


def _draw(probability_BV: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    if temperature == 0:
        return probability_BV.argmax(dim=1)
    sharp_BV = (probability_BV.double().clamp_min(1e-300).log() / temperature).softmax(dim=1)
    return torch.multinomial(sharp_BV, 1, generator=generator).squeeze(1)
