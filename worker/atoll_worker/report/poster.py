"""One picture to show around: real samples, the baseline's and the ensemble's, side by side."""

import io
from collections.abc import Mapping

import matplotlib.image as mpl_image
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from atoll_worker.report.document import Findings, SystemScores
from atoll_worker.report.images import grid_png, is_image

COLUMNS = 8


def poster(findings: Findings, samples: Mapping[str, Tensor]) -> bytes | None:
    """A PNG with a grid of each, or None where the samples are no images."""
    if not samples or not is_image(findings.data.sample_shape):
        return None
    names = [name for name in ("Real", "Baseline", findings.combine) if name in samples]
    layout = ConstrainedLayoutEngine(wspace=0.05)
    figure = Figure(figsize=(4.2 * len(names), 4.9), layout=layout, facecolor="white")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        picture = mpl_image.imread(io.BytesIO(grid_png(samples[name], COLUMNS, 568)))
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(_title(name, findings.system(name)), fontsize=13)
        axes.axis("off")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def _title(name: str, system: SystemScores | None) -> str:
    if system is None:
        return "Real samples\n"
    if system.samples is None:
        return name
    kinds = {"Baseline": "One model, same FLOPs", "Merged": "Islands, merged"}
    kind = kinds.get(name, f"Ensemble of islands ({name})")
    return f"{kind}\nFrechet distance {system.samples.frechet_train.mean:.3f}"
