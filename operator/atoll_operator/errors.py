"""Every error of the operator, and its fate.

OperatorError
|- FolderInUseError     another run holds the folder: exit 73
|- OtherJobError        the folder belongs to another job: exit 73
|- PortInUseError       the hub's port is taken: exit 73
|- FolderError          the folder cannot be written: exit 74
|- BrokenFolderError    a file of the folder cannot be read: exit 65
`- HubUnavailableError  the hub did not answer: asked again at the next pass, never shown
"""

from atoll_api.exit_codes import ExitCode


class OperatorError(Exception):
    """An error whose message is for the user: one line, what is wrong and what to do."""

    exit_code: ExitCode = ExitCode.FAILED


class FolderInUseError(OperatorError):
    """Another run holds the folder."""

    exit_code = ExitCode.IN_USE


class OtherJobError(OperatorError):
    """The folder holds the results of another job."""

    exit_code = ExitCode.IN_USE


class PortInUseError(OperatorError):
    """The port asked for the hub belongs to another process."""

    exit_code = ExitCode.IN_USE


class FolderError(OperatorError):
    """The folder cannot be written: the disk is full, read-only or not ours."""

    exit_code = ExitCode.NO_SPACE


class BrokenFolderError(OperatorError):
    """A file of the folder is not what this version writes."""

    exit_code = ExitCode.FINAL


class HubUnavailableError(OperatorError):
    """The hub did not answer in time; a later call may succeed."""
