"""`atoll pull`: one artifact of a run or a job as a safetensors file."""

from pathlib import Path

import click

from atoll_api.names import Ref
from atoll_cli.cluster.place import Wanted
from atoll_cli.errors import CliError, check_output
from atoll_cli.options import cluster_options
from atoll_cli.targets import locate

_EXAMPLES = """\b
Examples:
  atoll pull runs/digits
  atoll pull digits experts/0 -o expert.safetensors -n lab"""


@click.command(
    "pull", short_help="Artifacts of a run or a job, as safetensors files.", epilog=_EXAMPLES
)
@click.argument("target")
@click.argument("ref", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="FILE.safetensors to write.")
@cluster_options()
def command(target: str, *, ref: str | None, output: Path | None, wanted: Wanted) -> None:
    """Write the artifact REF of TARGET, a run's folder or a TrainingJob, to a safetensors file.

    Without REF, lists what there is. Works while it is going and, as long as its hub is there,
    after it.
    """
    check_output(output)
    with locate(target, wanted).artifacts() as artifacts:
        bindings = artifacts.bindings()
        if ref is None:
            for name in sorted(bindings):
                print(f"{name:<28}{bindings[name].size_bytes:>12}  {bindings[name].digest}")
            return
        if ref not in bindings:
            known = ", ".join(sorted(bindings)) or "nothing yet"
            raise CliError(f"{ref}: not in this run; there is: {known}")
        from atoll_cli.weights import write_safetensors  # noqa: PLC0415 - torch takes seconds

        path = output or Path(f"{ref.replace('/', '-')}.safetensors")
        write_safetensors(path, artifacts.fetch(Ref(ref)), bindings[Ref(ref)].digest)
    print(f"{path}: {ref} {bindings[Ref(ref)].digest}")
