"""Errors whose message is for the user, each with its exit code."""

from atoll_api.exit_codes import ExitCode

__all__ = ["CliError", "ExitCode"]


class CliError(Exception):
    """One line: what is wrong and what to do."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code
