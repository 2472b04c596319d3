"""What every process of a job finds in its environment, on a laptop and on a cluster alike: pure."""

from typing import Final

THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Threads are a part of a result: nobody sets these but `islands.threads`."""
KERNELS: Final = "OPENBLAS_"
"""Variables so named choose other kernels than the CPU's own, and so other last bits: a process
inherits none of them."""
ALLOCATOR: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
}
"""For whoever moves bytes, and no worse for training: docs/decisions/0006. Whoever sets it
otherwise, means it."""


def fixed(threads: int) -> dict[str, str]:
    """What nobody may choose otherwise."""
    return {
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "PYTHONUNBUFFERED": "1",  # the last line of a killed process's log is its message
    }
