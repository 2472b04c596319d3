"""A job's task is found, or the message says what is wrong with it."""

import sys
from pathlib import Path

import pytest

from atoll_api.spec.task import CustomTask, Task
from atoll_worker.errors import BadTaskError
from atoll_worker.tasks.diffusion.task import DiffusionTask
from atoll_worker.tasks.registry import load_task

GOOD = """
class Good:
    def __init__(self, width="3"):
        self.width = int(width)
    def build_model(self, sample): ...
    def corrupt(self, batch, generator): ...
    def predict(self, model, inputs): ...
    def losses(self, predicted, inputs): ...
    def contract(self): return {}
class Half:
    def corrupt(self, batch, generator): ...
    def predict(self, model, inputs): ...
not_a_class = Good()
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in {
        "users_task": GOOD,
        "users_broken": "raise RuntimeError('first\\nsecond')",
        "users_needy": "import no_such_library_anywhere",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def custom(entrypoint: str, **config: str) -> Task:
    return Task(type="Custom", custom=CustomTask(entrypoint=entrypoint, config=config))


def test_diffusion() -> None:
    assert isinstance(load_task(Task(type="Diffusion")), DiffusionTask)


def test_a_users_class_gets_its_config(modules: Path) -> None:
    assert vars(load_task(custom("users_task:Good", width="7"))) == {"width": 7}


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (custom("users_missing:Good"), "no module users_missing where the workers run"),
        (custom("users_task.inner:Good"), "no module users_task.inner"),
        (custom("users_needy:Good"), "needs the module no_such_library_anywhere"),
        (custom("users_broken:Good"), "importing users_broken failed: RuntimeError: first"),
        (custom("users_task:Bad"), "Bad does not exist in users_task"),
        (custom("users_task:not_a_class"), "not_a_class is no class"),
        (custom("users_task:Half"), "it lacks build_model, losses, contract"),
        (custom("users_task:Good", depth="2"), "depth"),
        (custom("users_task:Good", width="wide"), "ValueError"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(modules: Path, task: Task, said: str) -> None:
    with pytest.raises(BadTaskError) as caught:
        load_task(task)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
