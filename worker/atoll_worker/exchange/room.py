"""How much a store may take, and how much it has taken."""

from dataclasses import dataclass, field

from atoll_worker.exchange.spares import SpareSizes


@dataclass(frozen=True)
class Limits:
    """How many bytes a store may take."""

    quota_bytes: int | None = None
    """Packs, and uploads that are open; None: what the disk holds."""
    spares: SpareSizes = field(default_factory=SpareSizes)
    uploads: int = 512
    """Open at once: each may keep a file open, and a manifest of 4 MiB in memory."""


@dataclass(frozen=True)
class Usage:
    """What a store holds at one moment.

    Attributes:
        stored_bytes: of all packs.
        artifacts: refs that are bound.
        uploads: those that are open.
    """

    stored_bytes: int
    artifacts: int
    uploads: int
