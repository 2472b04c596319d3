"""The environment of a child process: pure functions from the environment of this one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from atoll_api import names

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
}
"""For whoever moves bytes, and no worse for training: docs/decisions/0006."""


def worker_environment(
    inherited: Mapping[str, str], threads: int, import_folders: Sequence[Path]
) -> dict[str, str]:
    """Threads are a part of a result, so no library may choose its own number."""
    folders = [str(folder) for folder in import_folders]
    paths = [*filter(None, [inherited.get("PYTHONPATH")]), *folders]
    return {
        **_ALLOCATOR,  # whoever sets it otherwise, means it
        **inherited,
        **dict.fromkeys(_THREAD_VARIABLES, str(threads)),
        **({"PYTHONPATH": ":".join(paths)} if paths else {}),
        "PYTHONUNBUFFERED": "1",  # the last line of a killed child's log is its message
        names.ENV_LIFELINE: "1",
    }


def hub_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The hub never trains, and loads no code of the job's."""
    return worker_environment(inherited, 1, ())
