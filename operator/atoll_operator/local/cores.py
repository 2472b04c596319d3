"""How many cores this process may use."""

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Cores by affinity and by the container's CPU quota, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it, macOS does not
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        limit = quota_cores(_QUOTA.read_text())
    except OSError:
        limit = math.inf
    return max(1, int(min(cores, limit)))


def quota_cores(text: str) -> float:
    """Cores that `cpu.max` (cgroup v2: quota and period, in microseconds) allows."""
    quota, _, period = text.strip().partition(" ")
    if quota == "max" or not period:
        return math.inf
    return int(quota) / int(period)
