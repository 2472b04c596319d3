"""What the files of an image say was installed: packages of Debian, distributions of Python. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from typing import Final

from packaging.utils import canonicalize_name

from tools.supply_chain.root import Files

_PACKAGES: Final = "var/lib/dpkg/status"


@dataclass(frozen=True, order=True)
class DebianPackage:
    """One that is installed."""

    name: str
    version: str
    architecture: str
    source: str
    """The name of what it was built from: security trackers go by it."""


def release(files: Files) -> str:
    """Such as `debian-12`; empty if nothing says so."""
    text = files.get("etc/os-release", files.get("usr/lib/os-release", b"")).decode()
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    both = [said.get(key, "").strip('"') for key in ("ID", "VERSION_ID")]
    return "-".join(both) if all(both) else ""


def python(files: Files) -> str:
    """The version of Python that the environment of an image has, such as 3.12; empty if none."""
    found = {it[1] for path in files if (it := re.match(r"opt/atoll/lib/python([0-9.]+)/", path))}
    return max(found, default="")


def debian_packages(files: Files) -> tuple[DebianPackage, ...]:
    """All, in order."""
    texts = (text for path, text in files.items() if path.startswith(_PACKAGES))
    return tuple(sorted({it for text in texts for it in _parse_status(text)}))


def distributions(files: Files) -> dict[str, str]:
    """Name -> version of what the environment of an image holds."""
    parsed = (
        BytesHeaderParser().parsebytes(content)
        for path, content in files.items()
        if path.endswith(".dist-info/METADATA")
    )
    return {canonicalize_name(it["Name"]): it["Version"] for it in parsed}


def _parse_status(content: bytes) -> Iterator[DebianPackage]:
    for stanza in content.strip().split(b"\n\n"):
        fields = BytesHeaderParser().parsebytes(stanza)
        status = str(fields.get("Status", "install ok installed"))
        if "Package" in fields and status.endswith(" installed"):
            source = str(fields.get("Source", fields["Package"])).split(" ")[0]
            yield DebianPackage(
                fields["Package"], fields["Version"], fields["Architecture"], source
            )
