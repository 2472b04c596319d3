"""`atoll sample`: draw from what a run has trained, into a picture."""

import functools
import typing
from pathlib import Path

import click

from atoll_api.spec.strategy import CombineType
from atoll_cli import runs
from atoll_cli.errors import CliError, check_output

_SYSTEMS = (*typing.get_args(CombineType), "Baseline")


@click.command("sample")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-n", "--count", type=click.IntRange(1, 4096), default=64, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("samples.png"))
@click.option(
    "--combine",
    type=click.Choice(_SYSTEMS, case_sensitive=False),
    help="How the experts become one.  [the job's own]",
)
@click.option("--seed", type=int, default=0, help="Another seed draws other samples.")
def command(folder: Path, *, count: int, output: Path, combine: str | None, seed: int) -> None:
    """Draw samples from the ensemble in FOLDER into a PNG grid."""
    check_output(output)
    job = runs.read_job(folder)
    if job.spec.task.diffusion is None:
        raise CliError(
            f"{folder}: only a Diffusion task can be sampled, this one is {job.spec.task.type}"
        )
    from atoll_cli.hub import artifacts_of  # noqa: PLC0415 - torch takes seconds

    with artifacts_of(folder) as artifacts:
        from atoll_cli import drawing  # noqa: PLC0415 - torch takes seconds

        draw = functools.partial(drawing.draw_grid, job, artifacts, count=count, seed=seed)
        image = draw(combine=combine or runs.combine_of(job))
    image.save(output, format="PNG")
    print(f"{output}: {count} samples, {combine or runs.combine_of(job)}")
