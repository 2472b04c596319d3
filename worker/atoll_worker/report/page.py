"""The report as one HTML page that needs nothing else: no network, no script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from torch import Tensor

from atoll_worker.report import charts
from atoll_worker.report.document import Findings, Report, Spread, StepWire
from atoll_worker.report.images import data_uri, grid_png, is_image
from atoll_worker.report.parts import Parts

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
class WireRow:
    """Bytes of one process, by peer."""

    step: str
    wires: tuple[StepWire, ...]


@dataclass(frozen=True)
class WireTable:
    """Bytes of every process, one column a kind of peer."""

    peers: tuple[str, ...]
    rows: tuple[WireRow, ...]


def page(report: Report, samples: Mapping[str, Tensor], parts: Parts | None) -> str:
    """Render the page.

    Args:
        report: every number.
        samples: a few samples (N, ...) by system, and `Real`.
        parts: what each island was given; None where each brings its own data.
    """
    findings = report.findings
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {
        "number": _number,
        "spread": _spread,
        "short": _short,
        "bytes": _bytes,
        "words": _words,
    }
    environment.globals["colour"] = charts.island_colour
    template = resources.files("atoll_worker.report").joinpath("page.html.j2").read_text("utf-8")
    return environment.from_string(template).render(
        report=report,
        findings=findings,
        title=TITLES[findings.verdict.outcome],
        chosen=findings.system(findings.combine),
        measures=list(dict.fromkeys(name for it in findings.systems for name in it.measures)),
        charts={name: Markup(svg) for name, svg in _charts(findings, parts).items()},  # noqa: S704 (drawn here from numbers)
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
    if findings.router is not None:
        drawn["router"] = charts.router_over_time(findings.router)
    if findings.sampling is not None:
        drawn["distances"] = charts.distances(findings.systems, findings.sampling.floor)
    return drawn


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
    return WireTable(peers, tuple(rows))


def _number(value: float | None, digits: int = 3) -> str:
    return "\N{EM DASH}" if value is None else f"{value:,.{digits}f}"


def _spread(value: Spread, digits: int = 3) -> str:
    return f"{value.mean:.{digits}f} ± {value.sd:.{digits}f}"


def _short(digest: str) -> str:
    return digest[:19] + "…" if len(digest) > 20 else digest


def _words(name: str) -> str:
    """A name in camelCase as words."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)


def _bytes(value: int | None) -> str:
    if value is None:
        return "not measured"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value} B"
