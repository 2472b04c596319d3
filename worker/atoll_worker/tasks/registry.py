"""From `spec.task` to the object that trains: the one list of tasks."""

import importlib
import inspect
from types import ModuleType
from typing import Any

from atoll_api.spec.task import ClassificationTask as ClassificationSettings
from atoll_api.spec.task import CustomTask as CustomSettings
from atoll_api.spec.task import DiffusionTask as DiffusionSettings
from atoll_api.spec.task import LanguageTask as LanguageSettings
from atoll_api.spec.task import Task as TaskSpec
from atoll_worker.errors import BadTaskError
from atoll_worker.tasks.base import Task
from atoll_worker.tasks.classification.task import ClassificationTask
from atoll_worker.tasks.diffusion.task import DiffusionTask
from atoll_worker.tasks.language.task import LanguageTask

_METHODS = ("build_model", "corrupt", "predict", "losses", "contract")


def load_task(spec: TaskSpec) -> Task:
    """The task that a job names.

    Raises:
        BadTaskError: a custom task that cannot be imported, built, or is no Task.
    """
    if spec.type == "Diffusion":
        return DiffusionTask(spec.diffusion or DiffusionSettings())
    if spec.type == "Classification":
        return ClassificationTask(spec.classification or ClassificationSettings())
    if spec.type == "Language":
        return LanguageTask(spec.language or LanguageSettings())
    if spec.custom is None:
        raise BadTaskError("task.custom is missing: give task.custom.entrypoint: module:Class")
    return _load_custom(spec.custom)


def _load_custom(settings: CustomSettings) -> Task:
    module_name, _, class_name = settings.entrypoint.partition(":")
    module = _import(module_name)
    cls = getattr(module, class_name, None)
    if not inspect.isclass(cls):
        found = "is no class" if hasattr(module, class_name) else "does not exist"
        raise BadTaskError(
            f"task.custom.entrypoint: {class_name} {found} in {module_name}: check the name"
        )
    missing = [name for name in _METHODS if not callable(getattr(cls, name, None))]
    if missing:
        raise BadTaskError(
            f"{settings.entrypoint} is no Task: it lacks {', '.join(missing)} "
            "(see atoll_worker.tasks.base.Task)"
        )
    return _build(cls, settings)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise BadTaskError(
                f"task.custom.entrypoint: no module {name} where the workers run: install it or "
                "put its folder on PYTHONPATH"
            ) from error
        raise BadTaskError(
            f"task.custom.entrypoint: importing {name} needs the module {error.name}: install it"
        ) from error
    except Exception as error:  # a user's module may raise anything
        raise BadTaskError(
            f"task.custom.entrypoint: importing {name} failed: {one_line(error)}"
        ) from error


def _build(cls: type[Any], settings: CustomSettings) -> Task:
    try:
        task: Task = cls(**settings.config)
    except Exception as error:  # a user's constructor may raise anything
        raise BadTaskError(
            f"task.custom.config: {settings.entrypoint} does not accept "
            f"{settings.config}: {one_line(error)}"
        ) from error
    return task


def one_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
