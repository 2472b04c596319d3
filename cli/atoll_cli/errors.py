"""Errors whose message is for the user, each with its exit code."""

from pathlib import Path

from atoll_api.exit_codes import ExitCode

__all__ = ["CliError", "ExitCode", "check_output"]


class CliError(Exception):
    """One line: what is wrong and what to do."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def check_output(path: Path | None) -> None:
    """Refuse a place that cannot become a file, before the work for it is done.

    Raises:
        CliError: the folder is not there, or the path is no regular file's.
    """
    if path is None:
        return
    if not path.absolute().parent.is_dir():
        raise CliError(f"{path}: there is no folder {path.absolute().parent}: make it first")
    if path.exists() and not path.is_file():
        raise CliError(f"{path}: not a file: give the name of a file with --output")
