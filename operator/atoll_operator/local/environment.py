"""The environment of a child process: pure functions from the environment of this one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from atoll_api import environment, names


def worker_environment(
    inherited: Mapping[str, str], threads: int, import_folders: Sequence[Path]
) -> dict[str, str]:
    """Threads and kernels are a part of a result: no library chooses its own, nor does a shell."""
    kept = {name: it for name, it in inherited.items() if not name.startswith(environment.KERNELS)}
    folders = [str(folder) for folder in import_folders]
    paths = [*filter(None, [inherited.get("PYTHONPATH")]), *folders]
    return {
        **environment.ALLOCATOR,
        **kept,
        **environment.fixed(threads),
        **({"PYTHONPATH": ":".join(paths)} if paths else {}),
        names.ENV_LIFELINE: "1",
    }


def hub_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The hub never trains, and loads no code of the job's."""
    return worker_environment(inherited, 1, ())
