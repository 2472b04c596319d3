"""The language task: predict the next token of a text.

A prediction is the probability of each token that really came next. So the weighted mean of
several experts' answers is the probability under their mixture, exactly (c-BTM, Gururangan et
al., arXiv 2303.14177, section 3.3), and no vocabulary-sized tensor leaves an expert.

Shape suffixes: B batch, L tokens, T = L - 1 tokens that are predicted, V vocabulary.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atoll_api.spec.task import GptSettings
from atoll_api.spec.task import LanguageTask as LanguageSettings
from atoll_worker.errors import BadDataError
from atoll_worker.tasks.base import Batch, Inputs, SampleSpec
from atoll_worker.tasks.language import tokenizer
from atoll_worker.tasks.language.gpt import Gpt

BITS_PER_BYTE = "bitsPerByte"
_LEAST = torch.finfo(torch.float32).tiny
"""A probability below it counts as this: 87 nats, and no infinite loss."""
_ROWS = 32
"""Texts that are read at once where nothing is learnt: their logits stay small."""


class LanguageTask:
    """A GPT and the negative log-likelihood of bytes."""

    def __init__(self, settings: LanguageSettings) -> None:
        self.settings = settings
        self.gpt = settings.architecture.gpt or GptSettings()

    def build_model(self, sample: SampleSpec) -> nn.Module:
        """The network of `architecture`.

        Raises:
            BadDataError: samples that are no texts of `context` tokens.
            BadTaskError: GPT settings that contradict each other.
        """
        if sample.shape != (self.gpt.context,):
            raise BadDataError(
                f"samples of shape {sample.shape} are no texts of {self.gpt.context} tokens: give "
                "data.source .txt or .jsonl files, or another task"
            )
        return Gpt(self.gpt, tokenizer.VOCABULARY)

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Inputs:  # noqa: ARG002 - the protocol's
        """The tokens (B, L) as they are; the answer to give is certainty, (B, L - 1) ones."""
        batch_size, length = batch.x_BD.shape
        target_BT = torch.ones(batch_size, length - 1)
        return Inputs(batch.x_BD, target_BT, torch.zeros(batch_size), None)

    def predict(self, model: nn.Module, inputs: Inputs) -> Tensor:
        """The probability (B, L - 1) of each token after the first, given those before it."""
        if torch.is_grad_enabled():
            return _read(model, inputs.x_BD)[0]
        return torch.cat([_read(model, rows_BL)[0] for rows_BL in torch.split(inputs.x_BD, _ROWS)])

    def losses(self, predicted_BD: Tensor, inputs: Inputs) -> Tensor:  # noqa: ARG002 - the protocol's
        """Mean negative log-likelihood of a token in nats, shape (B,)."""
        return -predicted_BD.clamp_min(_LEAST).log().mean(dim=1)

    def measures(self, predicted_BD: Tensor, inputs: Inputs) -> Mapping[str, Tensor]:
        """Bits per byte (B,): the loss in bits, as a token is a byte."""
        return {BITS_PER_BYTE: self.losses(predicted_BD, inputs) / math.log(2)}

    def contract(self) -> Mapping[str, str]:
        """What a token is, and how many are read."""
        return {
            "task": "Language",
            "tokenizer": tokenizer.NAME,
            "context": str(self.gpt.context),
            "prediction": "probability of the next token",
        }

    def read(self, model: nn.Module, token_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Read texts as far as they go.

        Returns:
            Probabilities (B, L - 1) of the tokens that came, and (B, V) of what may come next.
        """
        return _read(model, token_BL)


def _read(model: nn.Module, token_BL: Tensor) -> tuple[Tensor, Tensor]:
    logits_BLV = model(token_BL)
    came_BT = token_BL[:, 1:].long()
    nats_BT = F.cross_entropy(logits_BLV[:, :-1].transpose(1, 2), came_BT, reduction="none")
    return (-nats_BT).exp(), logits_BLV[:, -1].softmax(dim=1)
