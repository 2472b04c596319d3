"""The weights that every island begins with, as an artifact and as the base of deltas."""

from torch import nn

from atoll_api import names
from atoll_api.spec.exchange import Encoding
from atoll_worker.data.dataset import Dataset
from atoll_worker.errors import RejectedError
from atoll_worker.exchange.encoding import encode
from atoll_worker.ports import Artifact, Artifacts, Base
from atoll_worker.tasks.base import Task
from atoll_worker.train.protocol_check import build_model
from atoll_worker.train.seeds import derive


def own_model(task: Task, dataset: Dataset, seed: int, island: int) -> nn.Module:
    """The initialization of one island that shares none.

    Raises:
        BadTaskError: the task breaks its protocol.
    """
    return build_model(task, dataset.sample, derive(seed, "own-init", island))


def initial_model(task: Task, dataset: Dataset, seed: int) -> nn.Module:
    """The initialization that every island and the baseline share.

    Raises:
        BadTaskError: the task breaks its protocol.
    """
    return build_model(task, dataset.sample, derive(seed, "init"))


def initialization(task: Task, dataset: Dataset, seed: int) -> Artifact:
    """The same as an artifact, exact."""
    return Artifact(initial_model(task, dataset, seed).state_dict(), {"step": 0})


def base_of(
    encoding: Encoding, artifacts: Artifacts, task: Task, dataset: Dataset, seed: int
) -> Base | None:
    """The bound initialization, which readers of a Delta fetch; None for other encodings.

    Raises:
        RejectedError: nothing is bound to `init`.
        BadTaskError: the task breaks its protocol.
    """
    return bound_initialization(artifacts, task, dataset, seed) if encoding == "Delta" else None


def bound_initialization(artifacts: Artifacts, task: Task, dataset: Dataset, seed: int) -> Base:
    """What every island begins with, and a Delta is taken against.

    It follows from the seed, so it is made here and costs no byte. It is fetched only where other
    bits come out than on the partition's machine.

    Raises:
        RejectedError: nothing is bound to `init`.
        BadTaskError: the task breaks its protocol.
    """
    bound = artifacts.bindings(names.INIT_REF).get(names.INIT_REF)
    if bound is None:
        raise RejectedError(
            "nothing is bound to init, which islands begin with and a Delta is taken against: "
            "start a new job"
        )
    made = initialization(task, dataset, seed)
    if encode(made).manifest.digest != bound.digest:
        made = artifacts.fetch(names.INIT_REF)
    return Base(names.INIT_REF, bound.digest, made)
