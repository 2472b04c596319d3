"""`atoll merge`: several models on the disk, one model."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from atoll_cli import documents
from atoll_cli.signals import terminable

if TYPE_CHECKING:
    from atoll_worker.model_files import merging

_METHODS = ("mean", "aligned", "slerp", "ties", "dare")
_DTYPES = ("float64", "float32", "float16", "bfloat16")
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def _weights(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    del context, option
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r}: numbers with commas between, as in 0.7,0.3") from None


def _size_bytes(context: click.Context, option: click.Parameter, text: str) -> int:
    del context, option
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]I?B)?", text.strip().upper())
    size_bytes = round(float(match[1]) * _UNITS[match[2] or ""]) if match else 0
    if size_bytes < 1:
        raise click.BadParameter(f"{text!r}: a size as in 500MB, 5GB or 4GiB")
    return size_bytes


_EXAMPLES = """\b
Examples:
  atoll merge a.safetensors b.safetensors -o mean.safetensors
  atoll merge ./math ./code -o ./both --method ties --base ./llama --density 0.3"""


@click.command("merge", short_help="Several models on the disk become one.", epilog=_EXAMPLES)
@click.argument("models", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="FILE.safetensors, or a folder: it gets shards, their index, config and tokenizer.",
)
@click.option(
    "--method",
    type=click.Choice(_METHODS),
    default="mean",
    show_default=True,
    help="mean: weighted. aligned: the same, once units are in one order; needs --task. slerp: along the arc between two. ties: largest changes against --base, "
    "where they agree in sign. dare: changes against --base, some dropped by chance.",
)
@click.option("--weights", callback=_weights, help="One a model, as in 0.7,0.3.  [equal]")
@click.option(
    "--base", type=click.Path(path_type=Path), help="What the models were trained from: ties, dare."
)
@click.option("--density", type=float, help="Share of changes to keep: ties, dare.  [0.5]")
@click.option("--seed", type=int, help="Of what dare drops.  [0]")
@click.option(
    "--task",
    "job",
    type=click.Path(path_type=Path),
    help="The job that the models were trained by, a YAML file: aligned.",
)
@click.option("--t", type=float, help="slerp: from 0, the first model, to 1, the second.  [0.5]")
@click.option("--dtype", type=click.Choice(_DTYPES), help="Of the result.  [the first model's]")
@click.option(
    "--max-shard-size",
    "max_shard_bytes",
    callback=_size_bytes,
    default="5GB",
    show_default=True,
    help="Of a file in a folder.",
)
@click.option("--force", is_flag=True, help="Replace an output that is there.")
@click.option("--allow-nonfinite", is_flag=True, help="Merge NaN and infinities as they are.")
def command(**given: Any) -> None:
    """Merge MODELS, safetensors files or Hugging Face folders, into one.

    All must have the same tensors. Types of floats may differ; the result has those of the first
    model, from which integers, config and tokenizer are taken too. Memory stays small whatever the
    size of the models. The header of the result says what it was made from.
    """
    from atoll_worker.model_files import merging  # noqa: PLC0415 - numpy takes a moment
    from atoll_worker.model_files.recipe import Recipe  # noqa: PLC0415 - see above

    told = {name: given.pop(name) for name in ("method", "base", "weights", "density", "seed", "t")}
    job = given.pop("job")
    request = merging.Request(Recipe(tuple(given.pop("models")), **told), **given)
    began = time.monotonic()
    with terminable(), _shown() as progress, _aligned(request, job) as chosen:
        merged = merging.merge_files(chosen, progress)
    print(_closing(merged, time.monotonic() - began))


@contextmanager
def _aligned(request: "merging.Request", job: Path | None) -> "Iterator[merging.Request]":
    """The request with permuted copies, where the method aligns."""
    recipe = request.recipe
    if job is not None and not recipe.entry.aligns:
        raise click.UsageError(f"--task is of no use to {recipe.method}: it is for aligned")
    if job is None or len(recipe.models) < 2:
        yield request  # what is missing is said by whoever merges
        return
    from atoll_operator.local.run import resolve  # noqa: PLC0415 - only this method reads a job
    from atoll_worker.model_files.aligned import stand_ins  # noqa: PLC0415 - torch takes seconds

    spec = resolve(documents.read_job(job), job.resolve().parent).spec
    with stand_ins(recipe.models, spec, request.output) as found:
        yield replace(request, stand_ins=found)


def _closing(merged: "merging.Merged", seconds: float) -> str:
    """What was written, in a line."""
    size = f"{merged.size_bytes / 1e9:.2f} GB" if merged.size_bytes >= 10**8 else None
    size = size or f"{merged.size_bytes:,} bytes"
    what = f"{merged.path}: {merged.tensors} tensors, {size}"
    return f"{what}, in {seconds:.1f} s, {merged.digest}"


@contextmanager
def _shown() -> "Iterator[merging.Progress]":
    """A bar, on a terminal."""
    console = Console(stderr=True)
    bar = Progress(
        "merging", BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console,
        transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("merging", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
