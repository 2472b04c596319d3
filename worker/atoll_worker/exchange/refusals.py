"""What a bucket says when it refuses, in a sentence of what is wrong and what to do. Pure.

Codes are those of S3's errors, as the library puts them into its messages.
"""

import re
from typing import Final

_CODE: Final = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_STATUS: Final = re.compile(r"non-2xx status code: (\d{3})")
_MACHINE_ROLE: Final = "/latest/api/token"
"""What machines of Amazon are asked for credentials, if there are no others."""
_ANOTHER_REGION: Final = "redirect without LOCATION"
"""How the library words the answer of a bucket of another region."""

_CREDENTIALS: Final = (
    "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN in the hub's environment"
)
_REFUSALS: Final = {
    "NoSuchBucket": "there is no such bucket: make it, or correct artifacts.storage.objectStore",
    "InvalidAccessKeyId": f"the access key is not known there: {_CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret key does not fit the access key: {_CREDENTIALS}",
    "InvalidToken": f"the session token is not valid: {_CREDENTIALS}",
    "ExpiredToken": f"the session token has expired: {_CREDENTIALS}",
    "AccessDenied": "these credentials may not list it: allow them to list, get, put and delete",
    "RequestTimeTooSkewed": "the clock of this machine is wrong: set it",
    "AuthorizationHeaderMalformed": "it is in another region: set objectStore.region",
}
_FORBIDDEN: Final = frozenset({"401", "403"})
_FULL: Final = frozenset({"QuotaExceeded", "QuotaExceededException", "XMinioStorageFull"})
"""Of stores that have an end; Amazon's has none."""
_FULL_STATUS: Final = "507"


def code_of(said: str) -> str:
    """The code of an error, or its status, or nothing."""
    if _ANOTHER_REGION in said:
        return "AuthorizationHeaderMalformed"  # as others than Amazon call it
    match = _CODE.search(said)
    return (match[1] or match[2]) if match else status_of(said)


def status_of(said: str) -> str:
    """The HTTP status of an error; nothing if there was no answer."""
    match = _STATUS.search(said)
    return match[1] if match else ""


def why_refused(said: str) -> str | None:
    """Why the same request will be refused again; None if it may not be."""
    if _MACHINE_ROLE in said:
        return (
            "it cannot be opened without credentials: set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in the hub's environment"
        )
    code = code_of(said)
    if code in _REFUSALS:
        return _REFUSALS[code]
    if status_of(said) in _FORBIDDEN and not is_full(said):
        return f"it refuses the credentials ({code}): {_CREDENTIALS}"
    return None


def is_full(said: str) -> bool:
    """Whether there is no space left."""
    return code_of(said) in _FULL or status_of(said) == _FULL_STATUS


def is_beyond_the_end(said: str) -> bool:
    """Whether bytes were asked for that begin where the object ends, or later."""
    return status_of(said) == "416" or "Invalid range" in said  # a bucket; a store in memory


def in_short(said: str) -> str:
    """What was said, in a line and without the answer's body."""
    sentence = said.partition("Debug source")[0].partition(": <")[0]
    return " ".join(sentence.rpartition(" - ")[2].split())[:300]
