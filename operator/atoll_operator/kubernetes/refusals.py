"""From an answer that is a refusal to one of our errors; pure.

The only place that knows which code and reason mean what.
"""

import json
from typing import Any, Final

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

_MESSAGE_CHARACTERS: Final = 1000
"""A refusal may quote the whole object, secrets too: neither logs nor status need more."""

_BY_CODE: Final[dict[int, type[ApiError]]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    408: UnavailableError,
    409: ConflictError,
    410: GoneError,
    429: TooManyRequestsError,
}


def refusal(code: int, body: bytes, retry_after: str = "") -> ApiError:
    """The error for an answer of the HTTP status `code`, with its Retry-After header."""
    return refusal_of(_document(code, body), _seconds(retry_after))


def refusal_of(status: dict[str, Any], retry_after_seconds: float | None = None) -> ApiError:
    """The error for a `Status` object; a watch delivers them without a header."""
    details = status.get("details") or {}
    seconds = details.get("retryAfterSeconds") or retry_after_seconds
    message = " ".join(str(status.get("message") or status.get("reason") or "no reason").split())
    return _class(int(status.get("code") or 500), str(status.get("reason") or ""))(
        message[:_MESSAGE_CHARACTERS],
        causes=tuple(str(it.get("reason", "")) for it in details.get("causes") or ()),
        retry_after_seconds=float(seconds) if seconds else None,
    )


def _class(code: int, reason: str) -> type[ApiError]:
    if reason == "AlreadyExists":
        return AlreadyExistsError
    if reason == "Expired":
        return GoneError
    if code >= 500:
        return UnavailableError
    return _BY_CODE.get(code, InvalidError)


def _document(code: int, body: bytes) -> dict[str, Any]:
    """A proxy between us and the server answers in anything but `Status`."""
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        status = {"message": f"HTTP {code}: {body[:200].decode(errors='replace')}"}
    return {**status, "code": code}


def _seconds(header: str) -> float | None:
    return float(header) if header.strip().isdecimal() else None
