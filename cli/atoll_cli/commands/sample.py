"""`atoll sample`: draw from what a run has trained, into a picture or onto the screen."""

import typing
from collections.abc import Mapping
from pathlib import Path

import click
from click.core import ParameterSource

from atoll_api.spec import TrainingJob
from atoll_api.spec.strategy import CombineType
from atoll_cli import runs
from atoll_cli.cluster.place import Wanted
from atoll_cli.errors import CliError, check_output
from atoll_cli.options import cluster_options
from atoll_cli.targets import Target, locate

_SYSTEMS = (*typing.get_args(CombineType), runs.MERGED, "Baseline")
_OF_TEXT = ("prompt", "tokens", "temperature")

_EXAMPLES = """\b
Examples:
  atoll sample runs/digits -n 16 -o grid.png
  atoll sample digits --namespace lab --combine TopK"""


@click.command("sample", short_help="Draw from what a run or a job has trained.", epilog=_EXAMPLES)
@click.argument("target")
@click.option(
    "-n", "--count", type=click.IntRange(1, 4096), help="How many.  [64 images, or 1 text]"
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Where to.  [samples.png, or the screen for text]",
)
@click.option(
    "--combine",
    type=click.Choice(_SYSTEMS, case_sensitive=False),
    help="How the experts become one, or Merged.  [the job's own]",
)
@click.option("--seed", type=int, default=0, help="Another seed draws other samples.")
@click.option("--prompt", default="", help="Text: what to go on from; it is what is routed.")
@click.option(
    "--tokens",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="Text: how many tokens to write.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(0.0, 10.0),
    default=0.8,
    show_default=True,
    help="Text: below 1 the likely becomes likelier; 0 takes the likeliest.",
)
@cluster_options(short=False)
@click.pass_context
def command(
    context: click.Context, /, target: str, *, wanted: Wanted, **options: typing.Any
) -> None:
    """Draw samples from the system of TARGET: images as a PNG grid, or texts.

    TARGET is the folder of a run, or else the name of a TrainingJob: its models are fetched and
    used here, with the data that they were trained on.
    """
    found = locate(target, wanted)
    job = found.job()
    options["combine"] = options["combine"] or runs.combine_of(job)
    runs.require_system(job, options["combine"])
    if job.spec.task.language is not None:
        _write(job, found, options)
    elif job.spec.task.type != "Classification":
        given = [n for n in _OF_TEXT if _is_given(context, n)]
        if given:
            raise CliError(f"--{given[0]} is for text, and {target} has drawn images: leave it out")
        _draw(job, found, options)
    else:
        raise CliError(f"{target}: a classifier answers, it draws nothing: there are no samples")


def _check_data(job: TrainingJob) -> None:
    """Refuse a job whose data lie on a volume of its cluster alone, before anything is fetched."""
    source = job.spec.shared_data.source
    if source.startswith("file://") and not Path(source.removeprefix("file://")).exists():
        raise CliError(
            f"the data of this job, {source}, are not on this machine: samples are compared with "
            "them and scaled as they are: bring them to that path"
        )


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is not ParameterSource.DEFAULT


def _draw(job: TrainingJob, target: Target, options: Mapping[str, typing.Any]) -> None:
    output, count = options["output"] or Path("samples.png"), options["count"] or 64
    check_output(output)
    _check_data(job)
    with target.artifacts() as artifacts:
        from atoll_cli import drawing  # noqa: PLC0415 - torch takes seconds

        combine, seed = options["combine"], options["seed"]
        image = drawing.draw_grid(job, artifacts, combine=combine, count=count, seed=seed)
    image.save(output, format="PNG")
    print(f"{output}: {count} samples, {combine}")


def _write(job: TrainingJob, target: Target, options: Mapping[str, typing.Any]) -> None:
    output, combine = options["output"], options["combine"]
    if combine == "Oracle":
        raise CliError(
            "Oracle is told which part a text belongs to, and one that is not written yet belongs "
            "to none: say Full"
        )
    if output is not None:
        check_output(output)
    _check_data(job)
    with target.artifacts() as artifacts:
        from atoll_cli import writing  # noqa: PLC0415 - torch takes seconds

        count = options["count"] or 1
        said = {name: options[name] for name in (*_OF_TEXT, "seed")}
        wanted = writing.Wanted(count=count, **said)
        texts = writing.write_texts(job, artifacts, wanted, combine=combine)
    written = "\n\n".join(texts) + "\n"
    if output is None:
        print(written, end="")
        return
    output.write_text(written, encoding="utf-8")
    print(f"{output}: {count} texts, {combine}")
