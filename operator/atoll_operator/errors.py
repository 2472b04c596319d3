"""Every error of the operator, and its fate.

OperatorError
|- FolderInUseError     another run holds the folder: exit 73
|- OtherJobError        the folder belongs to another job: exit 73
|- PortInUseError       the hub's port is taken: exit 73
|- FolderError          the folder cannot be written: exit 74
|- BrokenFolderError    a file of the folder cannot be read: exit 65
|- HubUnavailableError  the hub did not answer: asked again at the next pass, never shown
|- NoClusterError       neither a kubeconfig nor a pod: exit 65
|- LeaseLostError       another replica may lead by now: this process must write no more
`- ApiError             what the API server said instead of what was asked for
   |- retryable         the same request, or one decided anew, may succeed soon
   |  |- ConflictError         409: the object has changed, or is another one: read and decide anew
   |  |- GoneError             410: what was to be continued is forgotten: list anew
   |  |- UnauthorizedError     401: a token is being renewed
   |  |- TooManyRequestsError  429: not before `retry_after_seconds`
   |  `- UnavailableError      5xx, no connection, no answer in time: nobody knows whether it was done
   `- final             somebody has to change something first
      |- NotFoundError         404: no such object, kind or namespace
      |- AlreadyExistsError    409: the name is taken
      |- ForbiddenError        403: no permission, quota used up, or the namespace is going
      `- InvalidError          every other 4xx: the object, or the request, is not accepted
"""

from typing import ClassVar

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


class NoClusterError(OperatorError):
    """Nothing says which API server to speak to."""

    exit_code = ExitCode.FINAL


class LeaseLostError(OperatorError):
    """This process does not lead any more; another may."""


class ApiError(OperatorError):
    """What the API server said instead of what was asked for, in its own words."""

    code: ClassVar[int]
    """The HTTP status it usually comes with."""
    retryable: ClassVar[bool]

    def __init__(
        self,
        message: str,
        *,
        causes: tuple[str, ...] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.causes = causes
        """Reasons for machines, such as NamespaceTerminating."""
        self.retry_after_seconds = retry_after_seconds
        """When the server wants to be asked again, if it said so."""


class ConflictError(ApiError):
    """A precondition failed: the object has changed, or is not the one that was meant."""

    code = 409
    retryable = True


class GoneError(ApiError):
    """The version to watch from, or the list to continue, is forgotten."""

    code = 410
    retryable = True


class UnauthorizedError(ApiError):
    """The server does not know who asks: a token that was renewed is read within a minute."""

    code = 401
    retryable = True


class TooManyRequestsError(ApiError):
    """The server, or a disruption budget, asks for patience."""

    code = 429
    retryable = True


class UnavailableError(ApiError):
    """No answer, or one that says nothing: whether the request took effect is not known."""

    code = 503
    retryable = True


class NotFoundError(ApiError):
    """No such object; or no such kind or namespace."""

    code = 404
    retryable = False


class AlreadyExistsError(ApiError):
    """The name is taken, by whomever."""

    code = 409
    retryable = False


class ForbiddenError(ApiError):
    """No permission, a quota that is used up, or a namespace that is going."""

    code = 403
    retryable = False


class InvalidError(ApiError):
    """The server does not accept the object, or the request."""

    code = 422
    retryable = False
