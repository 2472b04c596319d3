"""The report as one HTML page that needs nothing else: no network, no script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup
from torch import Tensor

from atoll_worker.report import charts, curves
from atoll_worker.report.document import Findings, Report, StepWire
from atoll_worker.report.images import data_uri, grid_png, is_image
from atoll_worker.report.parts import Parts
from atoll_worker.report.rendering import render

GRID_COLUMNS = 8
TITLES = {"Better": "Better", "Worse": "Not better", "Tie": "A tie", "NoBaseline": "No baseline"}


@dataclass(frozen=True)
class Picture:
    """One picture of the page."""

    title: str
    uri: str


@dataclass(frozen=True)
class PartPicture:
    """One island's data: its mean sample and a few of its samples."""

    island: int
    colour: str
    mean: str
    few: str


@dataclass(frozen=True)
class CurvePicture:
    """One island's losses."""

    island: int
    name: str
    gate_passed: bool | None
    svg: Markup


@dataclass(frozen=True)
class WireRow:
    """Bytes of one process, by peer."""

    step: str
    wires: tuple[StepWire, ...]


@dataclass(frozen=True)
class WireTable:
    """Bytes of every process, one column a kind of peer."""

    peers: tuple[str, ...]
    rows: tuple[WireRow, ...]
    sums: tuple[StepWire, ...]
    """Over all processes, by peer."""
    most: int
    """Of one process, with one kind of peer, in one direction."""

    def share(self, count: int) -> int:
        """Bytes in % of the most that any has."""
        return round(100 * count / max(1, self.most))


def page(report: Report, samples: Mapping[str, Tensor], parts: Parts | None) -> str:
    """Render the page.

    Args:
        report: every number.
        samples: a few samples (N, ...) by system, and `Real`.
        parts: what each island was given; None where each brings its own data.
    """
    findings = report.findings
    return render(
        "page.html.j2",
        colour=charts.island_colour,
        report=report,
        findings=findings,
        title=TITLES[findings.verdict.outcome],
        chosen=findings.system(findings.combine),
        measures=list(dict.fromkeys(name for it in findings.systems for name in it.measures)),
        charts={name: Markup(svg) for name, svg in _charts(findings, parts).items()},  # noqa: S704 (drawn here from numbers)
        curves=_curves(findings),
        grids=_grids(findings, samples),
        parts=_parts(findings, parts),
        own_data=parts is None,
        wires=_wires(report.run.wires),
    )


def _charts(findings: Findings, parts: Parts | None) -> dict[str, str]:
    drawn = {
        "losses": charts.loss_curves(findings.islands, findings.baseline),
    }
    mapped = findings.text is None or findings.partition.type == "TextClusters"
    if parts is not None and mapped:
        drawn["division"] = charts.division(parts.xy_P2, parts.island_P)
    if findings.merging is not None:
        drawn["mergeability"] = charts.mergeability(findings.merging.mergeability)
        drawn["gap"] = curves.gap(findings.merging.mergeability)
    if findings.router is not None:
        drawn["router"] = charts.router_over_time(findings.router)
    if findings.sampling is not None:
        drawn["distances"] = charts.distances(findings.systems, findings.sampling.floor)
    return drawn


def _curves(findings: Findings) -> list[CurvePicture]:
    shown = curves.worth_showing(findings.islands)
    scale = curves.scale_of((*shown, findings.baseline))
    return [
        CurvePicture(
            island=model.island or 0,
            name=model.name,
            gate_passed=model.gate_passed,
            svg=Markup(curves.island(model, findings.baseline, scale)),  # noqa: S704 (drawn here)
        )
        for model in shown
    ]


def _grids(findings: Findings, samples: Mapping[str, Tensor]) -> list[Picture]:
    if not is_image(findings.data.sample_shape):
        return []
    titles = {"Real": "Real samples", "Baseline": "Baseline"}
    return [
        Picture(titles.get(name, name), data_uri(grid_png(x_ND, GRID_COLUMNS)))
        for name, x_ND in samples.items()
    ]


def _parts(findings: Findings, parts: Parts | None) -> list[PartPicture]:
    if parts is None or not is_image(findings.data.sample_shape):
        return []
    return [
        PartPicture(
            island=island,
            colour=charts.island_colour(island),
            mean=data_uri(grid_png(mean_D[None], 1, 96)),
            few=data_uri(grid_png(few_ND, GRID_COLUMNS)),
        )
        for island, (mean_D, few_ND) in enumerate(zip(parts.mean_KD, parts.few, strict=True))
    ]


def _wires(wires: Sequence[StepWire]) -> WireTable:
    peers = tuple(peer for peer in ("island", "hub", "other") if any(w.peer == peer for w in wires))
    cells = {(wire.step, wire.peer): wire for wire in wires}
    steps = dict.fromkeys(wire.step for wire in wires)
    nothing = partial(StepWire, sent_bytes=0, received_bytes=0)
    rows = [
        WireRow(step, tuple(cells.get((step, p)) or nothing(step=step, peer=p) for p in peers))
        for step in steps
    ]
    sums = tuple(
        StepWire(
            step="",
            peer=peer,
            sent_bytes=sum(it.sent_bytes for it in wires if it.peer == peer),
            received_bytes=sum(it.received_bytes for it in wires if it.peer == peer),
        )
        for peer in peers
    )
    most = max((max(it.sent_bytes, it.received_bytes) for it in wires), default=0)
    return WireTable(peers, tuple(rows), sums, most)
