"""Flow matching with a velocity target: the noise path, two networks and the task."""

from atoll_worker.tasks.diffusion.task import DiffusionTask

__all__ = ["DiffusionTask"]
