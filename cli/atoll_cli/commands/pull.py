"""`atoll pull`: one artifact of a run as a safetensors file."""

from pathlib import Path

import click

from atoll_api.names import Ref
from atoll_cli.errors import CliError, check_output


@click.command("pull")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("ref", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="FILE.safetensors to write.")
def command(folder: Path, *, ref: str | None, output: Path | None) -> None:
    """Write the artifact REF of the run in FOLDER to a safetensors file.

    Without REF, lists what there is. Works while the run is going and after it.
    """
    check_output(output)
    from atoll_cli.hub import artifacts_of  # noqa: PLC0415 - torch takes seconds

    with artifacts_of(folder) as artifacts:
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
