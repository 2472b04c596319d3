"""Which systems a job of text compares, and what it shows of them beside their scores."""

from collections.abc import Iterator
from functools import partial
from typing import Final, cast

import torch
from torch import nn

from atoll_api.spec.strategy import CombineType
from atoll_api.work_order import EvaluateOrder
from atoll_worker.ensemble import combine
from atoll_worker.evaluate.holdout import Answer, Holdout, answer_of_model
from atoll_worker.evaluate.loading import Job
from atoll_worker.evaluate.rules import names_to_score, rule_named, settings_of
from atoll_worker.evaluate.scoring import Candidate
from atoll_worker.evaluate.text import (
    Reading,
    TextAnswer,
    TextEnsemble,
    Writer,
    averaged_model,
    uniform_answer,
)
from atoll_worker.report.document import Continuation, TextFacts
from atoll_worker.tasks.language import LanguageTask
from atoll_worker.tasks.language.tokenizer import decode
from atoll_worker.train.seeds import derive

ORACLE: Final = "Oracle"
UNIFORM: Final = "Uniform"
AVERAGE: Final = "Average"
CONTROLS: Final = (ORACLE, UNIFORM, AVERAGE)
"""Scored in every job of text: told the part, told nothing, and one model of averaged weights."""
TEMPERATURE = 0.8
"""Of the continuations on the page."""
_EXAMPLES, _MOST_PARTS, _MOST_PROMPTS, _WRITTEN = 3, 24, 4, 128


def text_ensemble(job: Job, order: EvaluateOrder) -> TextEnsemble:
    """The experts of a job of text and what weighs them."""
    assert isinstance(job.task, LanguageTask)
    prior_K = job.ensemble.prior_CK.sum(dim=0)
    return TextEnsemble(job.task, job.ensemble.experts, order.router, prior_K, job.clusters)


def text_candidates(job: Job, order: EvaluateOrder, flops: int) -> Iterator[Candidate]:
    """One system a strategy, and the controls.

    Args:
        job: its models.
        order: strategies and router.
        flops: of one model for one text.
    """
    ensemble = text_ensemble(job, order)
    reading = Reading(ensemble)
    present = [expert for expert in job.ensemble.experts if expert is not None]
    size = sum(parameter.numel() for parameter in present[0].parameters())
    names = names_to_score(order.evaluation.strategies, order.combine)
    scored: tuple[CombineType, ...] = tuple(dict.fromkeys((*names, ORACLE)))
    for name in scored:
        rule = rule_named(name, order.combine)
        answer = TextAnswer(ensemble, reading, rule, order.seed)
        yield Candidate(
            name=name,
            settings=settings_of(rule),
            parameters=size * len(present),
            expert_flops=flops,
            router_flops=0,
            answer=answer,
            mean_active=answer.mean_active,
        )
    controls: tuple[tuple[str, int, Answer], ...] = (
        (UNIFORM, len(present), uniform_answer(ensemble, reading)),
        (AVERAGE, 1, answer_of_model(job.task, averaged_model(present))),
    )
    for control, models, answer_of in controls:
        yield Candidate(
            name=control,
            settings={},
            parameters=size * models,
            expert_flops=flops,
            router_flops=0,
            answer=answer_of,
            mean_active=partial(float, models),
        )


def text_facts(job: Job, order: EvaluateOrder, holdout: Holdout) -> TextFacts | None:
    """What the page tells of texts; None where the data are none."""
    if not isinstance(job.task, LanguageTask):
        return None
    ensemble = text_ensemble(job, order)
    said = order.router.centroid or order.router.likelihood
    assert said is not None
    return TextFacts(
        router=order.router.type,
        settings={name: float(value) for name, value in said.model_dump().items()},
        scored_texts=len(holdout.islands()),
        agreement=_agreement(ensemble, holdout),
        temperature=TEMPERATURE,
        examples=tuple(_examples(job)),
        continuations=tuple(_continuations(job, order, ensemble)),
    )


def writer_of(job: Job, ensemble: TextEnsemble, rule: combine.Rule) -> Writer:
    """What continues texts as the job's ensemble does."""
    return Writer(cast("LanguageTask", job.task), ensemble, rule)


def writer_of_model(job: Job, model: nn.Module) -> Writer:
    """What continues texts as one model does."""
    return Writer(cast("LanguageTask", job.task), None, combine.Full(), model)


def _agreement(ensemble: TextEnsemble, holdout: Holdout) -> float:
    right = 0
    reading = Reading(ensemble)
    with torch.inference_mode():
        for inputs, asked in holdout.chunks:
            by_prefix = ensemble.router.likelihood is not None
            read_KBT = reading(inputs) if by_prefix else inputs.target_BD[None]
            weight_BK = ensemble.weigh(inputs.x_BD, read_KBT, ensemble.prefix)
            right += int((weight_BK.argmax(dim=1) == asked.island_B).sum())
    return right / len(holdout.islands())


def _examples(job: Job) -> Iterator[tuple[str, ...]]:
    data, island_N = job.dataset, job.assignment.train_island_N
    for island in range(min(job.assignment.count, _MOST_PARTS)):
        own_N = data.train[island_N == island]
        chosen = own_N[:: max(1, len(own_N) // _EXAMPLES)][:_EXAMPLES]
        yield tuple(decode(data.x_ND[row]) for row in chosen)


def _continuations(
    job: Job, order: EvaluateOrder, ensemble: TextEnsemble
) -> Iterator[Continuation]:
    writers: dict[str, Writer] = {
        order.combine.type: writer_of(job, ensemble, rule_named(order.combine.type, order.combine))
    }
    if job.baseline is not None:
        writers["Baseline"] = writer_of_model(job, job.baseline)
    data, island_N = job.dataset, job.assignment.holdout_island_N
    rows = [
        int(data.holdout[island_N == island][0])
        for island in range(min(job.assignment.count, _MOST_PROMPTS))
        if bool((island_N == island).any())
    ]
    prompt_BL = data.x_ND[rows, : ensemble.prefix]
    tokens = min(_WRITTEN, data.sample.shape[0] - ensemble.prefix)
    for name, writer in writers.items():
        generator = torch.Generator().manual_seed(derive(order.seed, "evaluate/continuations"))
        text_BL = writer.write(prompt_BL, tokens, TEMPERATURE, generator)
        for row_L in text_BL:
            prompt, text = row_L[: ensemble.prefix], row_L[ensemble.prefix :]
            yield Continuation(system=name, prompt=decode(prompt), text=decode(text))
