"""The files of a report, out of the artifact that holds them: of a job whose folders nobody can open."""

from pathlib import Path

import torch

from atoll_api import names
from atoll_cli.errors import CliError, ExitCode
from atoll_cli.targets import Target
from atoll_worker.report.files import write_whole


def fetch_page(target: Target, folder: Path) -> None:
    """Write the files of a report into a folder, which is made if it is not there.

    Raises:
        CliError: there is no report yet, or it holds what is no file.
    """
    with target.artifacts() as artifacts:
        if names.PAGE_REF not in artifacts.bindings(names.PAGE_REF):
            state = target.status().state
            raise CliError(f"{target.title}: no report: the job is {state}; it comes at the end")
        page = artifacts.fetch(names.PAGE_REF)
    files = {name: _content(name, tensor) for name, tensor in page.tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)


def _content(name: str, tensor: torch.Tensor) -> bytes:
    """What a job says is a name: whoever wrote it is not trusted with another folder."""
    plain = name == Path(name).name and not name.startswith(".")
    if not plain or tensor.dtype != torch.uint8:
        raise CliError(f"{names.PAGE_REF}: {name!r} is no file of a report", ExitCode.FINAL)
    return tensor.numpy().tobytes()
