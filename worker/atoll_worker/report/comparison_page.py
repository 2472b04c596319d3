"""A comparison as one HTML page that needs nothing else: no network, no script."""

from markupsafe import Markup

from atoll_worker.report import curves
from atoll_worker.report.charts import ACCENT
from atoll_worker.report.comparison import Comparison, RunSide, models_of
from atoll_worker.report.document import Mergeability, TrainedModel
from atoll_worker.report.rendering import render

_NAMES = ("A", "B")


def comparison_page(found: Comparison, a: RunSide, b: RunSide) -> str:
    """Render the page of a comparison of these two."""
    return render(
        "comparison.html.j2",
        found=found,
        a=a,
        b=b,
        verdicts=(
            (side, it.report.findings.verdict) for side, it in zip(_NAMES, (a, b), strict=True)
        ),
        colours={"A": ACCENT, "B": curves.OTHER},
        charts={name: Markup(svg) for name, svg in _charts(a, b).items()},  # noqa: S704 (drawn here from numbers)
        curves=[(name, Markup(svg)) for name, svg in _curves(a, b)],  # noqa: S704 (see above)
    )


def _charts(a: RunSide, b: RunSide) -> dict[str, str]:
    ours, theirs = a.report.findings, b.report.findings
    drawn = {"losses": curves.both(ours.islands, theirs.islands, _NAMES)}
    gaps = _gaps(a), _gaps(b)
    if any(gaps):
        drawn["gaps"] = curves.both_gaps(*gaps, _NAMES)
    return drawn


def _gaps(side: RunSide) -> tuple[Mergeability, ...]:
    merging = side.report.findings.merging
    return merging.mergeability if merging else ()


def _curves(a: RunSide, b: RunSide) -> list[tuple[str, str]]:
    """A picture an island that either has, and of the baseline; islands by number."""
    ours, theirs = _with_curves(a), _with_curves(b)
    shown = list(dict.fromkeys((*ours, *theirs)))[: curves.MAX_ISLANDS]
    scale = curves.scale_of((*ours.values(), *theirs.values()))
    return [(name, curves.pair(ours.get(name), theirs.get(name), scale)) for name in shown]


def _with_curves(side: RunSide) -> dict[str, TrainedModel]:
    return {it.name: it for it in models_of(side.report) if it.loss_curve}
