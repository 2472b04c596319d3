"""Which Atoll runs here."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache  # asked for at each pass of the operator, and found on disk
def release() -> str:
    """The version of Atoll that runs here."""
    try:
        return version("atoll")
    except PackageNotFoundError:  # an image holds the code alone
        return "0.1.0"
