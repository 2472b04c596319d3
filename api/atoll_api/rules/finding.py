"""What a rule says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One rule's complaint about one field."""

    field: str
    message: str
    hint: str
