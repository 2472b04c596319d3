"""Quantities as Kubernetes writes them: `10Gi`, `500m`."""

from decimal import Decimal
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


QUANTITY_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
QUANTITY_HINT: Final = "say a number and, for bytes, Mi or Gi; for parts of a CPU, m, such as 500m"

_SCALES: Final[dict[str, Decimal]] = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** (power + 1) for power, unit in enumerate("kMGTPE")},
    **{f"{unit}i": Decimal(1024) ** (power + 1) for power, unit in enumerate("KMGTPE")},
}


def amount(quantity: str) -> Decimal:
    """What a quantity is in CPUs, bytes or pieces."""
    number = quantity.rstrip("mkKMGTPEi")
    return Decimal(number) * _SCALES[quantity.removeprefix(number)]
