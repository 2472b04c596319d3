"""Samples of a finished run as a picture."""

from typing import cast

from PIL import Image
from torch import Tensor

from atoll_api.spec import TrainingJob
from atoll_api.spec.strategy import CombineType
from atoll_api.work_order import EvaluateOrder
from atoll_cli.errors import CliError
from atoll_cli.order import evaluate_order
from atoll_cli.runs import MERGED
from atoll_worker.evaluate.loading import Job, load_job
from atoll_worker.evaluate.rules import rule_named
from atoll_worker.evaluate.sampling import Draw, Sampler, draw_of_ensemble, draw_of_model, few
from atoll_worker.ports import Artifacts
from atoll_worker.tasks.diffusion import DiffusionTask

CELL_PIXELS = 48
GAP_PIXELS = 2


def draw_grid(
    job: TrainingJob, artifacts: Artifacts, *, combine: str, count: int, seed: int
) -> Image.Image:
    """Draw `count` samples from the ensemble, or from the baseline, as a square grid.

    Raises:
        CliError: a task of the user's own that is no DiffusionTask, or samples that are no images.
    """
    order = evaluate_order(job)
    loaded = load_job(order, artifacts)
    if not isinstance(loaded.task, DiffusionTask):
        name = type(loaded.task).__name__
        raise CliError(f"only diffusion and language models draw samples; {name} is neither")
    sampler = Sampler(loaded.task, loaded.dataset, loaded.assignment, order.evaluation, seed)
    sampler = few(sampler, count)
    draw = _draw(loaded, sampler, order, combine)
    images = [image for start in sampler.starts(0) for image in draw(start)[0]]
    return grid(images)


def _draw(loaded: Job, sampler: Sampler, order: EvaluateOrder, combine: str) -> Draw:
    if combine == MERGED:
        assert loaded.merged is not None  # whoever merges ends with one
        return draw_of_model(sampler, loaded.merged)
    if combine != "Baseline":
        rule = rule_named(cast("CombineType", combine), order.combine)
        return draw_of_ensemble(sampler, loaded.ensemble, rule)
    if loaded.baseline is None:
        raise CliError("this run has no baseline: say baseline: {enabled: true} in its job")
    return draw_of_model(sampler, loaded.baseline)


def grid(images: list[Tensor]) -> Image.Image:
    """Images (C, H, W) in [-1, 1] as one picture, as square as can be, pixels kept sharp."""
    columns = max(1, round(len(images) ** 0.5))
    rows = -(-len(images) // columns)
    pitch = CELL_PIXELS + GAP_PIXELS
    size = (columns * pitch + GAP_PIXELS, rows * pitch + GAP_PIXELS)
    picture = Image.new("RGB", size, "white")
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        corner = (column * pitch + GAP_PIXELS, row * pitch + GAP_PIXELS)
        picture.paste(_cell(image), corner)
    return picture


def _cell(image_CHW: Tensor) -> Image.Image:
    if image_CHW.dim() != 3 or image_CHW.shape[0] not in (1, 3):
        shape = tuple(image_CHW.shape)
        raise CliError(f"samples of shape {shape} are no images: use `atoll pull` and draw them")
    bytes_HWC = ((image_CHW.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0)
    array = bytes_HWC.squeeze(-1).numpy()
    cell = Image.fromarray(array).convert("RGB")
    return cell.resize((CELL_PIXELS, CELL_PIXELS), Image.Resampling.NEAREST)
