"""What the exit code of a process means, to the supervisor and to the user.

Three-digit codes above 128 are signals, as a shell counts them.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `atoll` and of the workers."""

    OK = 0
    """The job, or the step, is complete."""
    FAILED = 1
    """The job ended Failed, or a step broke in a way that a restart may mend."""
    USAGE = 2
    """The command line is wrong."""
    INVALID = 64
    """The job's YAML has problems; all of them are listed."""
    FINAL = 65
    """A final error: the same input would fail again, so nothing is retried."""
    IN_USE = 73
    """The folder, or the port, belongs to another run."""
    NO_SPACE = 74
    """The disk is full or read-only, or the job's quota is used up."""
    DISRUPTED = 83
    """A worker was told to stop and has saved what it needs to resume."""
    INTERRUPTED = 130
    """Ctrl-C; the job can be resumed."""
    TERMINATED = 143
    """SIGTERM; the job can be resumed."""


NOT_RETRIED = frozenset({ExitCode.FINAL, ExitCode.NO_SPACE, ExitCode.IN_USE})
"""Codes after which a supervisor does not start a worker again."""
NOT_COUNTED = frozenset({ExitCode.DISRUPTED})
"""Codes after which a worker starts again without a mark on its budget."""
