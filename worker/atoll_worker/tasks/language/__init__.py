"""Next-token prediction: a small GPT, tokens that are bytes, and the task."""

from atoll_worker.tasks.language.task import LanguageTask

__all__ = ["LanguageTask"]
