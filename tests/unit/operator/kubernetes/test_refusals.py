"""Which answer of the API server becomes which error."""

import json
from typing import Any

import pytest

from atoll_operator.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
)
from atoll_operator.kubernetes.refusals import refusal, refusal_of


def body(**status: Any) -> bytes:
    return json.dumps({"kind": "Status", **status}).encode()


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", InvalidError),
        (401, "Unauthorized", UnauthorizedError),
        (403, "Forbidden", ForbiddenError),
        (404, "NotFound", NotFoundError),
        (405, "MethodNotAllowed", InvalidError),
        (408, "Timeout", UnavailableError),
        (409, "AlreadyExists", AlreadyExistsError),
        (409, "Conflict", ConflictError),
        (410, "Expired", GoneError),
        (410, "Gone", GoneError),
        (413, "RequestEntityTooLarge", InvalidError),
        (422, "Invalid", InvalidError),
        (429, "TooManyRequests", TooManyRequestsError),
        (500, "InternalError", UnavailableError),
        (503, "ServiceUnavailable", UnavailableError),
        (504, "Timeout", UnavailableError),
    ],
)
def test_code_and_reason_choose_the_error(code: int, reason: str, expected: type) -> None:
    error = refusal(code, body(code=code, reason=reason, message="why"))
    assert type(error) is expected
    assert str(error) == "why"


def test_every_error_has_a_fate() -> None:
    for kind in ApiError.__subclasses__():
        assert isinstance(kind.retryable, bool), kind
        assert isinstance(kind.code, int), kind


def test_the_server_says_when_to_ask_again() -> None:
    assert refusal(429, body(), "7").retry_after_seconds == 7
    assert refusal(429, body(details={"retryAfterSeconds": 3}), "7").retry_after_seconds == 3
    assert refusal(503, b"", "Wed, 21 Oct 2026 07:28:00 GMT").retry_after_seconds is None


def test_causes_are_for_machines() -> None:
    details = {"causes": [{"reason": "NamespaceTerminating", "message": "is going"}]}
    error = refusal(403, body(reason="Forbidden", details=details))
    assert error.causes == ("NamespaceTerminating",)


@pytest.mark.parametrize("text", [b"", b"<html>Bad Gateway</html>", b"[1]", b'{"kind":"Pod"}'])
def test_a_proxy_answers_in_its_own_words(text: bytes) -> None:
    error = refusal(502, text)
    assert isinstance(error, UnavailableError)
    assert str(error).startswith("HTTP 502")


def test_a_message_is_one_line_and_quotes_no_whole_object() -> None:
    text = str(refusal(422, body(message="a\n b" + "x" * 100_000)))
    assert text.startswith("a b")
    assert len(text) == 1000


def test_a_watch_delivers_its_refusal_as_an_object() -> None:
    assert isinstance(refusal_of({"code": 410, "reason": "Expired"}), GoneError)
    assert isinstance(refusal_of({}), UnavailableError)
