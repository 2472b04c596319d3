"""What a piece of work takes: time, CPU and memory of a whole process, by the operating system."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def cpu_of(work: Callable[[], Result]) -> tuple[float, Result]:
    """CPU seconds of this process and all its threads, and what the work made."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def measured(work: Callable[[], object]) -> dict[str, float]:
    """Wall and CPU seconds of a piece of work; bytes it took on the way, and those it kept."""
    forget_peak()
    before, cpu, began = memory_bytes("VmRSS"), time.process_time(), time.perf_counter()
    work()
    return {
        "wall": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "growth": memory_bytes("VmHWM") - before,
        "kept": memory_bytes("VmRSS") - before,
    }


def forget_peak(process: int | str = "self") -> None:
    """The peak of a process's memory, VmHWM, starts at what is there now."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def cpu_seconds(process: int) -> float:
    """Of a process so far, and all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(key: str, process: int | str = "self") -> int:
    """VmRSS or VmHWM of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(it.split()[1]) * 1024 for it in lines if it.startswith(f"{key}:"))


def pays_below(share: float, encode: float, decode: float) -> float:
    """Gbit/s below which it is faster to send fewer bytes: share left, CPU seconds a GB."""
    return max(0.0, 8 * (1 - share) / (encode + decode))
