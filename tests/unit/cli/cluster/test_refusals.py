"""What an API server says, in words that say what to do; as a real one of 1.34 has said it."""

import pytest

from atoll_api.exit_codes import ExitCode
from atoll_cli.cluster.place import Place
from atoll_cli.cluster.refusals import explained
from atoll_operator.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnauthorizedError,
    UnavailableError,
)

ANONYMOUS = 'secrets "x" is forbidden: User "system:anonymous" cannot get resource "secrets"'
RIGHT = 'trainingjobs.atoll.dev is forbidden: User "ann" cannot create resource "trainingjobs"'


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (UnauthorizedError("Unauthorized"), 65, "does not know you: log in again"),
        (ForbiddenError(ANONYMOUS), 65, "does not know you: log in again"),
        (ForbiddenError(RIGHT), 65, "cannot create resource.*: ask whoever runs the cluster"),
        (NotFoundError('namespaces "lab" not found'), 1, "kubectl create namespace lab"),
        (NotFoundError("HTTP 404: 404 page not found"), 65, "atoll crd | kubectl apply"),
        (NotFoundError("the server could not find the requested resource"), 65, "install Atoll"),
        (NotFoundError('secrets "x" not found'), 65, "has lost it meanwhile"),
        (InvalidError('TrainingJob "a" is invalid: spec.x: y'), 64, "does not take it: Train"),
        (ConflictError("the object has been modified"), 1, "try again"),
        (UnavailableError("get pods: no answer in time"), 1, "runs and can be reached"),
    ],
)
def test_one_line_that_says_what_to_do(error: ApiError, code: int, expected: str) -> None:
    said = explained(error, Place("lab", "kind-lab"))
    assert said.exit_code == ExitCode(code)
    assert "\n" not in str(said)
    with pytest.raises(Exception, match=expected):
        raise said
