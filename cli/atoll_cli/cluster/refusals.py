"""What an API server refuses, as one line that says what to do. Pure."""

from atoll_cli.cluster.place import Place
from atoll_cli.errors import CliError, ExitCode
from atoll_operator.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
)

_NOBODY = "system:anonymous"


def explained(error: ApiError, place: Place) -> CliError:
    """The error for the user."""
    said = str(error)
    match error:
        case NotFoundError() if said.startswith('namespaces "'):
            return no_namespace(place)
        case NotFoundError() | UnauthorizedError() | ForbiddenError():
            return CliError(_of_rights(said, error, place), ExitCode.FINAL)
        case InvalidError():
            return CliError(f"the cluster does not take it: {said}", ExitCode.INVALID)
        case ConflictError() | TooManyRequestsError():
            return CliError(f"the cluster asks to wait: {said}: try again")
        case _:
            hint = f"see that the cluster of {place.title} runs and can be reached, then try again"
            return CliError(f"no answer from the API server: {said}: {hint}")


def _of_rights(said: str, error: ApiError, place: Place) -> str:
    """What is there for others, or after an administrator's work."""
    if isinstance(error, UnauthorizedError) or _NOBODY in said:
        return f"the cluster of {place.title} does not know you: log in again, or say another --context"
    if isinstance(error, ForbiddenError):
        hint = "ask whoever runs the cluster for that, or say another --namespace"
        return f"the cluster does not allow it: {said}: {hint}"
    if is_unknown_kind(error):
        return (
            f"{place.title} has no TrainingJobs: install Atoll there, or its definition alone with "
            "`atoll crd | kubectl apply -f -`"
        )
    return f"the cluster has lost it meanwhile: {said}: try again"


def is_unknown_kind(error: ApiError) -> bool:
    """Whether the server knows no such kind; of an object it would say its name."""
    return not str(error).endswith('" not found')


def no_namespace(place: Place) -> CliError:
    """There is no such namespace."""
    name = place.namespace
    hint = f"say another --namespace, or make it with `kubectl create namespace {name}`"
    return CliError(f"{place.title} has no namespace {name}: {hint}")
