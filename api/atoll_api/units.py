"""Quantities as Kubernetes writes them: `10Gi`."""

from typing import Annotated, Final

from pydantic import Field

_DECIMAL: Final[dict[str, int]] = {
    unit: 1000**power for power, unit in enumerate(("", "k", "M", "G", "T"))
}
_BINARY: Final[dict[str, int]] = {
    unit: 1024**power for power, unit in enumerate(("", "Ki", "Mi", "Gi", "Ti"))
}
_FACTORS: Final[dict[str, int]] = _DECIMAL | _BINARY
_PATTERN: Final = r"^[1-9][0-9]{0,14}(k|M|G|T|Ki|Mi|Gi|Ti)?$"

ByteCount = Annotated[str, Field(pattern=_PATTERN)]
"""A whole number of bytes and, optionally, a unit: `10Gi`, `500M`, `"1048576"`."""
BYTE_COUNT_HINT: Final = "say a whole number and Ki, Mi, Gi or Ti, such as 10Gi"


def size_bytes(text: ByteCount) -> int:
    """The bytes of a count."""
    number = text.rstrip("kKMGTi")
    return int(number) * _FACTORS[text.removeprefix(number)]
