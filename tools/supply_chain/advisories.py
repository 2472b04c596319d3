"""Which known vulnerabilities the locked versions have, by records in the format of OSV. Pure.

A record says which versions are affected: by a list, by ranges, or by both. Where neither can be
compared with a locked version, that is said and counts as found: silence must mean safety.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tools.supply_chain.locks import Pinned

ECOSYSTEM: Final = "PyPI"
_COMPARABLE: Final = frozenset({"ECOSYSTEM", "SEMVER"})

Record = Mapping[str, Any]
"""One document of OSV."""


class RecordError(Exception):
    """A document that is no record of OSV."""


@dataclass(frozen=True, order=True)
class Finding:
    """A locked version that a record speaks of."""

    name: str
    version: str
    advisory: str
    aliases: tuple[str, ...]
    fixed: tuple[str, ...]
    """The versions in which it is mended."""
    summary: str
    decided: bool = True
    """Whether the record could be compared; if not, a person has to read it."""

    @property
    def line(self) -> str:
        """All of it in one."""
        known_as = f" ({', '.join(self.aliases)})" if self.aliases else ""
        fixed = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no fix is named"
        doubt = "" if self.decided else "CANNOT BE COMPARED, read it: "
        return (
            f"{self.name} {self.version}: {doubt}{self.advisory}{known_as}: {fixed}. {self.summary}"
        )


@dataclass(frozen=True)
class Database:
    """Records, as they were given."""

    records: Sequence[Record]
    source: str

    @property
    def newest(self) -> datetime | None:
        """When any was last changed."""
        times = [
            datetime.fromisoformat(str(it["modified"])) for it in self.records if "modified" in it
        ]
        return max(times, default=None)


def of_ecosystem(documents: Iterable[object]) -> list[Record]:
    """Those that speak of Python distributions.

    Raises:
        RecordError: one is no record at all.
    """
    records = []
    for document in documents:
        if not isinstance(document, Mapping) or not isinstance(document.get("id"), str):
            raise RecordError(f"no record of OSV: {str(document)[:80]}")
        if any(True for _ in _affected(document)):
            records.append(document)
    return records


def findings(pins: Iterable[Pinned], records: Iterable[Record]) -> list[Finding]:
    """What the records have against the pins, each once, in order."""
    versions: dict[str, set[str]] = {}
    for pinned in pins:
        versions.setdefault(pinned.name, set()).add(pinned.version)
    found = {
        finding
        for record in records
        if "withdrawn" not in record
        for affected in _affected(record)
        for version in versions.get(canonicalize_name(affected["package"]["name"]), ())
        if (finding := _finding(record, affected, version))
    }
    return sorted(found)


def _affected(record: Record) -> list[Mapping[str, Any]]:
    return [
        it
        for it in record.get("affected", ())
        if it.get("package", {}).get("ecosystem", "").partition(":")[0] == ECOSYSTEM
    ]


def _finding(record: Record, affected: Mapping[str, Any], version: str) -> Finding | None:
    is_affected = _is_affected(affected, version)
    if is_affected is False:
        return None
    fixed = {
        event["fixed"]
        for it in affected.get("ranges", ())
        if it.get("type") in _COMPARABLE
        for event in it.get("events", ())
        if "fixed" in event
    }
    text = str(record.get("summary") or record.get("details") or "").strip()
    return Finding(
        canonicalize_name(affected["package"]["name"]),
        version,
        str(record["id"]),
        tuple(sorted(map(str, record.get("aliases", ())))),
        tuple(sorted(fixed)),
        text.splitlines()[0][:160] if text else "",
        decided=is_affected is True,
    )


def _is_affected(affected: Mapping[str, Any], version: str) -> bool | None:
    """None if nobody can say: there is nothing to compare, or it is no version."""
    listed = [str(it) for it in affected.get("versions", ())]
    ranges = [it for it in affected.get("ranges", ()) if it.get("type") in _COMPARABLE]
    if version in listed:
        return True
    if not listed and not ranges:
        return None
    try:
        asked = Version(version)
        return any(_parsed(it) == asked for it in listed) or any(
            _is_within(asked, it.get("events", ())) for it in ranges
        )
    except InvalidVersion:
        return None


def _parsed(version: str) -> Version | None:
    """None for what was a version before there were rules: no pin is one."""
    try:
        return Version(version)
    except InvalidVersion:
        return None


def _is_within(version: Version, events: Iterable[Mapping[str, str]]) -> bool:
    """OSV's own way: events in the order of their versions; the last at or before counts."""
    inside = False
    points = [(_point(value), kind) for event in events for kind, value in event.items()]
    for at, kind in sorted(points, key=lambda it: (it[0], it[1] != "introduced")):
        if kind == "introduced" and version >= at:
            inside = True
        elif (kind in ("fixed", "limit") and version >= at) or (
            kind == "last_affected" and version > at
        ):
            inside = False
    return inside


def _point(value: str) -> Version:
    """`0` is before all, those of development too; `*` is after all."""
    if value == "0":
        return Version("0.dev0")
    return Version("999999!0") if value == "*" else Version(value)
