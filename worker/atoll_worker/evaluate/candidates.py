"""Which systems a job compares: its baseline, and its experts under each strategy."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from atoll_api.work_order import EvaluateOrder
from atoll_worker.ensemble import combine
from atoll_worker.ensemble.router import RouterNet
from atoll_worker.evaluate.holdout import EnsembleAnswer, answer_of_model
from atoll_worker.evaluate.loading import Job
from atoll_worker.evaluate.rules import names_to_score, rule_named, settings_of
from atoll_worker.evaluate.sampling import Sampler, draw_of_ensemble, draw_of_model
from atoll_worker.evaluate.scoring import Candidate
from atoll_worker.evaluate.systems import Asked, ask, ask_router
from atoll_worker.evaluate.text_candidates import text_candidates
from atoll_worker.tasks.base import Inputs
from atoll_worker.tasks.diffusion import DiffusionTask
from atoll_worker.tasks.language import LanguageTask
from atoll_worker.train.flops import forward_flops

BASELINE = "Baseline"
MERGED = "Merged"
ALL_ISLANDS = "AllIslands"
"""All islands of a strategy that merges, their answers averaged."""


def sampler_of(job: Job, order: EvaluateOrder) -> Sampler | None:
    """How the job's systems are sampled; None for a task that cannot be."""
    if not isinstance(job.task, DiffusionTask):
        return None
    return Sampler(job.task, job.dataset, job.assignment, order.evaluation, order.seed)


def candidates(job: Job, order: EvaluateOrder, sampler: Sampler | None) -> Iterator[Candidate]:
    """The baseline first, where there is one, then one system a strategy."""
    if job.baseline is not None:
        yield _model(job, BASELINE, job.baseline, sampler)
    if job.merged is not None:
        yield _model(job, MERGED, job.merged, sampler)
        yield _all_islands(job)
        return
    if isinstance(job.task, LanguageTask):
        yield from text_candidates(job, order, _model_flops(job, _first_expert(job)))
        return
    for name in names_to_score(order.evaluation.strategies, order.combine):
        rule = rule_named(name, order.combine)
        yield _ensemble(job, rule, name, order, sampler)


def parameters(model: nn.Module) -> int:
    """How many numbers a model has learned."""
    return sum(parameter.numel() for parameter in model.parameters())


def _model(job: Job, name: str, model: nn.Module, sampler: Sampler | None) -> Candidate:
    return Candidate(
        name=name,
        settings={},
        parameters=parameters(model),
        expert_flops=_model_flops(job, model),
        router_flops=0,
        answer=answer_of_model(job.task, model),
        mean_active=lambda: 1.0,
        draw=None if sampler is None else draw_of_model(sampler, model),
    )


def _all_islands(job: Job) -> Candidate:
    """All islands asked, and their answers averaged: what merging saves, and may cost."""
    present = [expert for expert in job.ensemble.experts if expert is not None]

    def answer(inputs: Inputs, asked: Asked) -> Tensor:
        del asked
        answers = [ask(job.task, expert, inputs) for expert in present]
        return torch.stack(answers).mean(dim=0)

    return Candidate(
        name=ALL_ISLANDS,
        settings={},
        parameters=sum(map(parameters, present)),
        expert_flops=_model_flops(job, present[0]),
        router_flops=0,
        answer=answer,
        mean_active=lambda: float(len(present)),
    )


def _ensemble(
    job: Job, rule: combine.Rule, name: str, order: EvaluateOrder, sampler: Sampler | None
) -> Candidate:
    present = [expert for expert in job.ensemble.experts if expert is not None]
    router = job.ensemble.router if combine.needs_router(rule) else None
    routers = [] if router is None else [router]
    answer = EnsembleAnswer(job.ensemble, rule, order.seed)
    return Candidate(
        name=name,
        settings=settings_of(rule),
        parameters=sum(map(parameters, [*present, *routers])),
        expert_flops=_model_flops(job, present[0]),
        router_flops=sum(_router_flops(job, router) for router in routers),
        answer=answer,
        mean_active=answer.mean_active,
        draw=None if sampler is None else draw_of_ensemble(sampler, job.ensemble, rule),
    )


def _model_flops(job: Job, model: nn.Module) -> int:
    return forward_flops(partial(ask, job.task, model, job.probe)) // len(job.probe.x_BD)


def _first_expert(job: Job) -> nn.Module:
    return next(expert for expert in job.ensemble.experts if expert is not None)


def _router_flops(job: Job, router: RouterNet) -> int:
    return forward_flops(partial(ask_router, router, job.probe)) // len(job.probe.x_BD)
