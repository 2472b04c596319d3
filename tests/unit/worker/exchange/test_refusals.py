"""What a bucket says, in a sentence: what is final, and what another attempt may mend."""

import pytest

from atoll_worker.exchange import refusals


def said(status: int, code: str = "") -> str:
    body = f": <Error><Code>{code}</Code></Error>" if code else ": "
    return (
        "Generic S3 error: Error performing PUT http://h/b/k in 2.6ms - Server returned non-2xx "
        f"status code: {status} Something{body}\n\nDebug source:\nGeneric {{}}"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (said(400, "ExpiredToken"), "the session token has expired: check AWS_ACCESS_KEY_ID"),
        (said(403, "InvalidAccessKeyId"), "the access key is not known there"),
        (said(403), "it refuses the credentials (403): check AWS_ACCESS_KEY_ID"),
        (said(401, "Novelty"), "it refuses the credentials (Novelty)"),
        (said(404, "NoSuchBucket"), "there is no such bucket"),
        ("DeleteObjects request failed for key k: Access Denied (code: AccessDenied)", "these "),
        ("error sending request for url (http://169.254.169.254/latest/api/token)", "it cannot"),
    ],
)
def test_what_will_be_refused_again_is_said_with_what_to_do(text: str, expected: str) -> None:
    why = refusals.why_refused(text)
    assert why is not None
    assert why.startswith(expected)
    assert "\n" not in why


@pytest.mark.parametrize(
    "text",
    [
        said(400, "RequestTimeout"),
        said(404, "NoSuchKey"),
        said(500, "InternalError"),
        said(503, "SlowDown"),
        said(507, "XMinioStorageFull"),
        said(403, "QuotaExceeded"),
        "error trying to connect: tcp connect error",
    ],
)
def test_what_another_attempt_may_mend_is_no_refusal(text: str) -> None:
    assert refusals.why_refused(text) is None


@pytest.mark.parametrize(
    ("text", "full"),
    [
        (said(507), True),
        (said(403, "QuotaExceeded"), True),
        (said(403, "AccessDenied"), False),
        (said(500), False),
    ],
)
def test_a_full_store_is_told_apart(text: str, *, full: bool) -> None:
    assert refusals.is_full(text) is full


def test_a_line_leaves_the_body_out() -> None:
    assert refusals.in_short(said(503, "SlowDown")) == (
        "Server returned non-2xx status code: 503 Something"
    )
