"""Every error of a worker, and its fate.

WorkerError
|- FinalError              the same input would fail again: exit 65, no retry
|  |- BadDataError         data missing, of the wrong shape, too small
|  |- BadTaskError         a custom task that cannot be loaded or breaks the protocol
|  |- NotFiniteError       the loss became NaN or infinite
|  |- ContractError        artifacts that do not belong together
|  |- CorruptArtifactError bytes that do not have the digest they are named by
|  |- RejectedError        the hub refused a request for what it was
|  `- IdentityError        a certificate that is missing, expired or another's
|- NoSpaceError            the disk is full or read-only: exit 74
|  `- QuotaError           the job may not keep so many bytes
|- InUseError              a port or a store is taken: exit 73
|- UnavailableError        a peer did not answer in time: exit 1, retried
`- DisruptedError          told to stop, checkpoint saved: exit 83
"""

import errno

from atoll_api.exit_codes import ExitCode


class WorkerError(Exception):
    """An error whose message is for the user: one line, what is wrong and what to do."""

    exit_code: ExitCode = ExitCode.FAILED


class FinalError(WorkerError):
    """The same input would fail again."""

    exit_code = ExitCode.FINAL


class BadDataError(FinalError):
    """The data are missing, of the wrong shape, or too few."""


class BadTaskError(FinalError):
    """A custom task cannot be loaded, or breaks the Task protocol."""


class NotFiniteError(FinalError):
    """The loss became NaN or infinite."""


class ContractError(FinalError):
    """Artifacts that do not belong together, such as experts of two noise paths."""


class CorruptArtifactError(FinalError):
    """Bytes that do not have the digest they are named by."""


class RejectedError(FinalError):
    """A peer refused a request for what it was."""


class IdentityError(FinalError):
    """A certificate that is missing, expired or another's: no hub will listen."""


class NoSpaceError(WorkerError):
    """The disk is full or read-only."""

    exit_code = ExitCode.NO_SPACE


class QuotaError(NoSpaceError):
    """The job may not keep so many bytes."""


class InUseError(WorkerError):
    """A port or a store belongs to another process."""

    exit_code = ExitCode.IN_USE


class UnavailableError(WorkerError):
    """A peer did not answer in time; a retry may help."""


class DisruptedError(WorkerError):
    """The process was told to stop and has saved what it needs to resume."""

    exit_code = ExitCode.DISRUPTED


def explain(error: Exception) -> WorkerError:
    """What a process says that ends with this error."""
    match error:
        case WorkerError():
            return error
        case MemoryError():
            return WorkerError("out of memory: use a smaller batch or model, or a larger machine")
        case RuntimeError() if type(error).__name__ == "OutOfMemoryError":  # torch's, not loaded
            return WorkerError("out of GPU memory: use a smaller batch or model, or a larger GPU")
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EROFS):
            where = f" {error.filename}" if error.filename else ""
            return NoSpaceError(f"cannot write{where} ({error.strerror}): free some space")
        case _:
            return WorkerError(f"{type(error).__name__}: {error} (--debug shows where)")
