"""The evaluate role: score what the islands made, and tell it on one page."""

import json
import logging
from pathlib import Path

import torch
from torch import Tensor

from atoll_api import names
from atoll_api.status import Metric
from atoll_api.work_order import EvaluateOrder
from atoll_worker.errors import DisruptedError
from atoll_worker.evaluate.candidates import candidates, sampler_of
from atoll_worker.evaluate.findings import assemble
from atoll_worker.evaluate.holdout import Holdout
from atoll_worker.evaluate.loading import Job, load_job
from atoll_worker.evaluate.reference import make_reference
from atoll_worker.evaluate.rules import names_to_score
from atoll_worker.evaluate.scoring import GRID_SAMPLES, Scored, score
from atoll_worker.evaluate.text_candidates import CONTROLS
from atoll_worker.ports import Artifact, Context, ProgressReport
from atoll_worker.report.document import Findings, Report, metrics
from atoll_worker.report.files import write_whole
from atoll_worker.report.run_facts import run_facts
from atoll_worker.train.session import use_threads

_log = logging.getLogger(__name__)


def run(order: EvaluateOrder, context: Context) -> None:
    """Write `report.json`, `report.html` and, for images, `samples.png`; then publish `report`: that one means done.

    Raises:
        ContractError: fewer experts than the quorum, or artifacts that do not belong together.
        DisruptedError: told to stop; nothing is saved, a restart measures again.
        NoSpaceError: the folder of the report is full.
    """
    if names.REPORT_REF in context.artifacts.bindings(names.REPORT_REF):
        return
    use_threads(order.threads)
    steps = _Steps(order, context)
    job = load_job(order, context.artifacts)
    findings, pictures = _measure(job, order, steps)
    facts = run_facts(order.job, context.progress.snapshot(), order.count)
    report = Report(metrics=metrics(findings), findings=findings, run=facts)
    files = _files(report, pictures, job)
    for name, content in files.items():
        write_whole(Path(order.report_folder) / name, content)
    if order.publish_page:
        page = {name: torch.frombuffer(it, dtype=torch.uint8) for name, it in files.items()}
        context.artifacts.publish(names.PAGE_REF, Artifact(page, {"role": "evaluate"}))
    steps.measured(report.metrics, findings.verdict.sentence)
    parents = tuple(sorted(set(job.digests.values())))
    artifact = Artifact(pictures, findings.to_document(), parents)
    context.artifacts.publish(names.REPORT_REF, artifact)
    steps.finish()


def _measure(job: Job, order: EvaluateOrder, steps: "_Steps") -> tuple[Findings, dict[str, Tensor]]:
    """All numbers, and the samples for the page by name."""
    sampler = sampler_of(job, order)
    holdout = Holdout(job.task, job.dataset, job.assignment, order.seed, prefix=_prefix(order))
    steps.tick("training the feature net" if sampler else "measuring losses")
    reference = None if sampler is None else make_reference(job.dataset, job.assignment)
    sampling = None if sampler is None or reference is None else (sampler, reference)
    scored: dict[str, Scored] = {}
    for candidate in candidates(job, order, sampler):
        steps.tick(f"scoring {candidate.name}")
        baseline = next(iter(scored.values()), None) if job.baseline is not None else None
        scored[candidate.name] = score(candidate, sampling, holdout, baseline, steps.tick)
    findings = assemble(job, order, scored, holdout, reference)
    grids = {name: it.grid_ND for name, it in scored.items() if it.grid_ND is not None}
    if sampler is not None:
        rows = job.dataset.train[:: max(1, len(job.dataset.train) // GRID_SAMPLES)]
        grids = {"Real": job.dataset.x_ND[rows[:GRID_SAMPLES]], **grids}
    return findings, grids


def _prefix(order: EvaluateOrder) -> int:
    """Tokens of a text by which it is routed; 0 for what is no text."""
    chosen = order.router.centroid or order.router.likelihood
    return chosen.prefix if chosen and not order.merging else int(order.task.context is not None)


def _files(report: Report, pictures: dict[str, Tensor], job: Job) -> dict[str, bytearray]:
    """The report by file name; the numbers last, so that whoever sees them has the rest."""
    from atoll_worker.report.page import page  # noqa: PLC0415 (matplotlib takes seconds to load)
    from atoll_worker.report.parts import parts_of  # noqa: PLC0415 (see above)
    from atoll_worker.report.poster import poster  # noqa: PLC0415 (see above)

    html = page(report, pictures, parts_of(job.dataset, job.assignment))
    document = json.dumps(report.to_document(), indent=2, sort_keys=True)
    picture = poster(report.findings, pictures)
    files = {} if picture is None else {"samples.png": bytearray(picture)}
    return {
        **files,
        "report.html": bytearray(html.encode()),
        "report.json": bytearray((document + "\n").encode()),
    }


class _Steps:
    """How far the evaluation is: one tick a system and sampling seed, and a few around them."""

    def __init__(self, order: EvaluateOrder, context: Context) -> None:
        self._context = context
        self._done = 0
        combined = (
            2 if order.merging else len(names_to_score(order.evaluation.strategies, order.combine))
        )
        systems = combined + order.baseline
        text = order.task.context is not None and not order.merging
        seeds = order.evaluation.seeds if order.task.type == "Diffusion" else 0
        self._total = 2 + (systems + text * len(CONTROLS)) * (1 + seeds)
        self._message = ""
        self._metrics: tuple[Metric, ...] = ()

    def tick(self, message: str = "") -> None:
        """One more unit of work begins.

        Raises:
            DisruptedError: told to stop.
        """
        if self._context.stop.requested():
            raise DisruptedError("evaluate: told to stop; a restart measures again")
        if message:
            _log.info("%s", message)
        self._message = message or self._message
        self._done = min(self._done + 1, self._total - 1)
        self._tell(self._done)

    def measured(self, metrics: tuple[Metric, ...], message: str) -> None:
        """All is measured; told before the report is bound, for then the job ends."""
        _log.info("%s", message)
        self._metrics, self._message = metrics, message
        self._tell(self._total - 1)
        self._context.progress.flush()

    def finish(self) -> None:
        """All work is done."""
        self._tell(self._total)

    def _tell(self, done: int) -> None:
        report = ProgressReport(done, self._total, message=self._message, metrics=self._metrics)
        self._context.progress.report(report)
