"""Which mounts are below a folder; pure."""

import re
from pathlib import Path

ESCAPED = re.compile(r"\\([0-7]{3})")


def below(mountinfo: str, folder: Path) -> list[Path]:
    """Mount points in or below the folder, in the order in which they can be unmounted."""
    points = [Path(_plain(line.split()[4])) for line in mountinfo.splitlines() if line]
    return [point for point in reversed(points) if point.is_relative_to(folder)]


def _plain(field: str) -> str:
    return ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), field)
