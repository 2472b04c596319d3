"""What a process holds at a moment, by the operating system: memory, descriptors, threads."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """Of one process."""

    rss_mb: float
    """Resident: with pages of files, which come and go as the kernel likes."""
    pss_mb: float
    """The same, with pages that several processes share in parts."""
    own_mb: float
    """Resident and of no file: what the process has allocated, and a leak of memory adds to."""
    descriptors: int
    threads: int


def sample(pid: int) -> Sample:
    """Now; MB is 10^6 bytes."""
    folder = Path(f"/proc/{pid}")
    memory = _numbers(folder / "smaps_rollup")
    return Sample(
        rss_mb=memory["Rss"] * 1024 / 1e6,
        pss_mb=memory["Pss"] * 1024 / 1e6,
        own_mb=memory["Anonymous"] * 1024 / 1e6,
        descriptors=len(list((folder / "fd").iterdir())),
        threads=_numbers(folder / "status")["Threads"],
    )


def connections(pid: int, port: int) -> int:
    """Of a process, to a port of IPv4."""
    to_port = f":{port:04X}"
    rows = [it.split() for it in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(to_port)}
    return sum(_points_to(it) in inodes for it in Path(f"/proc/{pid}/fd").iterdir())


def _points_to(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""


def folder_bytes(folder: Path) -> int:
    """What the files of a folder take of the disk; one that goes meanwhile is passed over."""
    total = 0
    for place, _, files in os.walk(folder):
        for file in files:
            try:
                total += Path(place, file).stat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _numbers(file: Path) -> dict[str, int]:
    pairs = (line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
    words = ((key, rest.split()) for key, rest in pairs)
    return {key: int(rest[0]) for key, rest in words if rest and rest[0].isdecimal()}
