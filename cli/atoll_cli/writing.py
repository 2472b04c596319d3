"""Texts that the ensemble of a finished run, or its baseline, continues."""

from dataclasses import dataclass
from typing import cast

import torch

from atoll_api.spec import TrainingJob
from atoll_api.spec.strategy import CombineType
from atoll_cli.errors import CliError
from atoll_cli.order import evaluate_order
from atoll_cli.runs import MERGED
from atoll_worker.evaluate.loading import load_job
from atoll_worker.evaluate.rules import rule_named
from atoll_worker.evaluate.text import Writer
from atoll_worker.evaluate.text_candidates import text_ensemble, writer_of, writer_of_model
from atoll_worker.ports import Artifacts
from atoll_worker.tasks.language.tokenizer import decode, encode

_NOTHING = "\n"
"""What a text without a prompt goes on from: a model needs a token to read."""


@dataclass(frozen=True)
class Wanted:
    """What to write."""

    prompt: str
    count: int
    tokens: int
    temperature: float
    seed: int


def write_texts(
    job: TrainingJob, artifacts: Artifacts, wanted: Wanted, *, combine: str
) -> list[str]:
    """Continue the prompt `count` times; each text begins with it.

    Raises:
        CliError: the run has no baseline, and that was asked for.
    """
    writer = _writer(job, artifacts, combine)
    prompt_L = encode(wanted.prompt or _NOTHING)
    generator = torch.Generator().manual_seed(wanted.seed)
    text_BL = writer.write(
        prompt_L.expand(wanted.count, -1), wanted.tokens, wanted.temperature, generator
    )
    begin = 0 if wanted.prompt else len(_NOTHING)
    return [decode(text_L[begin:]) for text_L in text_BL]


def _writer(job: TrainingJob, artifacts: Artifacts, combine: str) -> Writer:
    order = evaluate_order(job)
    loaded = load_job(order, artifacts)
    if combine == MERGED:
        assert loaded.merged is not None  # whoever merges ends with one
        return writer_of_model(loaded, loaded.merged)
    if combine != "Baseline":
        rule = rule_named(cast("CombineType", combine), order.combine)
        return writer_of(loaded, text_ensemble(loaded, order), rule)
    if loaded.baseline is None:
        raise CliError("this run has no baseline: say baseline: {enabled: true} in its job")
    return writer_of_model(loaded, loaded.baseline)
