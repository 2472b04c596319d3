"""Who holds what is not here, and what of it somebody wants. In memory, no I/O, no lock.

A hub that restarts knows no holder; each holds again when it finds its Watch broken.
"""

import re
from dataclasses import dataclass
from typing import Final

from atoll_worker.exchange.manifest import ManifestError

MAX_ADDRESS_BYTES: Final = 300
MAX_PORT: Final = 65_535
_ADDRESS = re.compile(r"(?:[A-Za-z0-9._-]+|\[[A-Za-z0-9.:%]+\]):(?P<port>[1-9][0-9]{0,4})")
"""To gRPC other hosts than names and addresses are instructions, such as `unix:`."""


@dataclass(frozen=True)
class Holder:
    """A process that serves the bytes of a ref.

    Raises:
        ManifestError: the address is none.
    """

    step: str
    address: str
    """HOST:PORT."""

    def __post_init__(self) -> None:
        found = _ADDRESS.fullmatch(self.address)
        if len(self.address) > MAX_ADDRESS_BYTES or not found or int(found["port"]) > MAX_PORT:
            raise ManifestError(f"{self.address[:80]!r} is no address: HOST:PORT")


class Holders:
    """What is held where. Used from one event loop."""

    def __init__(self) -> None:
        self._holders: dict[str, Holder] = {}
        self._wanted: set[str] = set()

    def hold(self, ref: str, holder: Holder) -> None:
        """Take note of who holds a ref now."""
        self._holders[ref] = holder

    def want(self, ref: str) -> Holder | None:
        """Ask for a ref; who is to be told, if anybody is known to hold it."""
        holder = self._holders.get(ref)
        if holder is not None:
            self._wanted.add(ref)
        return holder

    def holder(self, ref: str) -> Holder | None:
        """Who holds a ref."""
        return self._holders.get(ref)

    def wanted_of(self, step: str) -> list[str]:
        """What is wanted of one holder."""
        return [ref for ref in sorted(self._wanted) if self._holders[ref].step == step]

    def arrived(self, ref: str) -> None:
        """The bytes are here: nobody needs to be told any more."""
        self._wanted.discard(ref)

    def forget(self, ref: str) -> None:
        """The ref is no longer bound."""
        self._wanted.discard(ref)
        self._holders.pop(ref, None)
