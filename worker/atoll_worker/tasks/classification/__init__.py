"""Classification: three networks, four norms and the task."""

from atoll_worker.tasks.classification.task import ClassificationTask

__all__ = ["ClassificationTask"]
