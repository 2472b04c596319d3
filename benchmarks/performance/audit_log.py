"""What an API server has been asked, by its own audit log: its clock, not a client's.

`creationTimestamp` resolves one second; the audit log resolves microseconds.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was answered."""

    verb: str
    resource: str
    """With its subresource: `trainingjobs/status`."""
    namespace: str
    name: str
    agent: str
    code: int
    received: float
    """Seconds since the epoch."""
    answered: float

    @property
    def is_write(self) -> bool:
        """Whether it was to change something."""
        return self.verb in WRITES


class AuditLog:
    """The log from here on: `read` answers with what is new."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = path.stat().st_size

    def read(self) -> Iterator[Request]:
        """Whole lines since the last time."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._at += len(line)
                yield _request(json.loads(line))


def _request(entry: dict[str, Any]) -> Request:
    about = entry.get("objectRef") or {}
    parts = (about.get("resource", ""), about.get("subresource", ""))
    return Request(
        verb=entry["verb"],
        resource="/".join(filter(None, parts)),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        agent=entry.get("userAgent", ""),
        code=(entry.get("responseStatus") or {}).get("code", 0),
        received=_seconds(entry["requestReceivedTimestamp"]),
        answered=_seconds(entry["stageTimestamp"]),
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
