"""Holds the licence of every distribution of the locks against what may be: `licences.toml`.

It goes by what a distribution says of itself, and by what a person read where that leaves a doubt.
What nobody knows is refused. It reads no texts of licences and knows nothing of what is bundled.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final, cast

from license_expression import ExpressionError, get_spdx_licensing

from tools.supply_chain.locks import Pinned

POLICY: Final = Path(__file__).with_name("licences.toml")
_APPROVED: Final = ("License :: OSI Approved :: ", "License :: Other/Proprietary License :: ")
_SEPARATOR: Final = " | "
_LONGEST_NAME: Final = 60
"""Of a licence: what is longer is its text."""


class PolicyError(Exception):
    """The policy is not as it should be."""


@dataclass(frozen=True)
class Record:
    """What a person read."""

    package: str
    licence: str
    says: str
    read: str


@dataclass(frozen=True)
class Exemption:
    """A licence that is not allowed, and yet taken from these."""

    licence: str
    packages: tuple[str, ...]
    images: bool
    reason: str


@dataclass(frozen=True)
class Policy:
    """The file."""

    allowed: Mapping[str, str]
    spelled: Mapping[str, str]
    vague: Mapping[str, str]
    exceptions: tuple[Exemption, ...]
    recorded: Mapping[str, Record]


@dataclass(frozen=True)
class Licence:
    """Under which a distribution is, as far as anybody knows."""

    expression: str | None
    """SPDX; None if nobody knows."""
    source: str
    """Where that was read."""


Metadata = Message
Find = Callable[[str], Metadata | None]
"""The metadata of a distribution by its name; None if it is not installed."""


def installed(name: str) -> Metadata | None:
    """What this environment has."""
    try:
        return cast(Message, distribution(name).metadata)
    except PackageNotFoundError:
        return None


def load(path: Path = POLICY) -> Policy:
    """Read the policy.

    Raises:
        PolicyError: it lacks something, has a key nobody reads, or gives no reason.
    """
    document = tomllib.loads(path.read_text())
    try:
        policy = Policy(
            allowed=document.pop("allowed"),
            spelled=document.pop("spelled"),
            vague=document.pop("vague"),
            exceptions=tuple(
                Exemption(**{**it, "packages": tuple(it["packages"])})
                for it in document.pop("exceptions")
            ),
            recorded={it["package"]: Record(**it) for it in document.pop("recorded")},
        )
    except (KeyError, TypeError) as error:
        raise PolicyError(f"{path.name}: {error}") from error
    reasons = [
        *policy.allowed.items(),
        *((it.licence, it.reason) for it in policy.exceptions),
        *((it.package, it.read) for it in policy.recorded.values()),
    ]
    lacking = [what for what, reason in reasons if not reason.strip()]
    if document or lacking:
        raise PolicyError(f"{path.name}: unknown keys {[*document]}, no reason for {lacking}")
    return policy


def licence_of(name: str, metadata: Metadata | None, policy: Policy) -> Licence:
    """Under which it is: by its metadata, or by what is recorded."""
    record = policy.recorded.get(name)
    said = [] if metadata is None else statements(metadata)
    if record is not None:
        if metadata is not None and record.says != _SEPARATOR.join(said):
            return Licence(
                None, f"recorded when it said {record.says!r}, now {said}: read it again"
            )
        return Licence(record.licence, f"recorded: {record.read}")
    if metadata is None:
        return Licence(None, "not installed here, and not recorded")
    clear = {_spdx(it, policy) for it in said if it not in policy.vague}
    if not clear or None in clear:
        return Licence(None, f"its metadata say {said}: read its licence, and record it")
    return Licence(_all_of(sorted(filter(None, clear))), f"metadata of {metadata['Version']}")


def statements(metadata: Metadata) -> list[str]:
    """What it says of its licence: an SPDX expression alone, or all that it says otherwise."""
    if expression := metadata.get("License-Expression"):
        return [str(expression)]
    classifiers = [str(it) for it in metadata.get_all("Classifier") or ()]
    texts = [
        str(metadata.get("License") or "").strip(),
        *(_without(it, _APPROVED) for it in classifiers if it.startswith("License")),
    ]
    return [*dict.fromkeys(_title(it) for it in texts if it not in {"", "UNKNOWN"})]


def problems(pins: Iterable[Pinned], of_images: set[str], find: Find, policy: Policy) -> list[str]:
    """What may not be: a licence that is unknown or not allowed, and what the policy says too much.

    Args:
        pins: of all locks.
        of_images: names of those that are in the lock of an image.
        find: gives their metadata.
        policy: what may be.
    """
    found: list[str] = []
    used: set[tuple[str, str]] = set()
    names = {it.name for it in pins}
    for name in sorted(names):
        licence = licence_of(name, find(name), policy)
        refused = [licence.source] if licence.expression is None else []
        for key in _refused_keys(licence.expression, policy) if licence.expression else ():
            exemption = _exemption(name, key, policy)
            if exemption is None:
                refused.append(f"{key} is not allowed ({licence.source})")
                continue
            used.add((exemption.licence, name))
            if not exemption.images and name in of_images:
                refused.append(f"{key} is not allowed in an image ({exemption.reason})")
        found.extend(f"{name}: {it}" for it in refused)
    given = {(it.licence, name) for it in policy.exceptions for name in it.packages}
    found.extend(f"{name}: an exception for {key} that nothing needs" for key, name in given - used)
    found.extend(f"{name}: recorded, and in no lock" for name in policy.recorded.keys() - names)
    return sorted(found)


def _exemption(name: str, key: str, policy: Policy) -> Exemption | None:
    fitting = (it for it in policy.exceptions if it.licence == key and name in it.packages)
    return next(fitting, None)


def _refused_keys(expression: str, policy: Policy) -> list[str]:
    """What is not allowed of it; of alternatives the one with the least of that."""
    parsed = _licensing().parse(expression)

    def refused(node: Any) -> list[str]:
        if isinstance(node, _licensing().OR):
            return min((refused(it) for it in node.args), key=len)
        if isinstance(node, _licensing().AND):
            return [key for it in node.args for key in refused(it)]
        return [] if str(node) in policy.allowed else [str(node)]

    return refused(parsed)


def _spdx(statement: str, policy: Policy) -> str | None:
    """What it means, if that leaves no doubt."""
    if statement in policy.spelled:
        return policy.spelled[statement]
    try:
        parsed = _licensing().parse(statement, validate=not statement.startswith("LicenseRef-"))
    except ExpressionError:
        return None
    return str(parsed)


def _all_of(expressions: list[str]) -> str:
    """Of several statements each one counts."""
    if len(expressions) == 1:
        return expressions[0]
    return " AND ".join(f"({it})" if " OR " in it else it for it in expressions)


@cache
def _licensing() -> Any:
    """All of SPDX: it takes half a second to read."""
    return get_spdx_licensing()


def _title(text: str) -> str:
    """The first line; of a text whose first line is no name, its beginning."""
    return text.splitlines()[0].strip()[:_LONGEST_NAME] + (" ..." if "\n" in text else "")


def _without(text: str, beginnings: tuple[str, ...]) -> str:
    for beginning in beginnings:
        text = text.removeprefix(beginning)
    return text.removeprefix("License :: ")
