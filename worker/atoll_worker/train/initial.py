"""The weights that every island begins with, as an artifact and as the base of deltas."""

from dataclasses import dataclass

from torch import nn

from atoll_api import names
from atoll_api.work_order import TrainingOrder
from atoll_worker.data.dataset import Dataset
from atoll_worker.errors import RejectedError
from atoll_worker.exchange.encoding import encode
from atoll_worker.ports import Artifact, Artifacts, Base
from atoll_worker.tasks.base import Task
from atoll_worker.train.fit import require_fit
from atoll_worker.train.protocol_check import build_model
from atoll_worker.train.seeds import derive


@dataclass(frozen=True)
class Seed:
    """The trained model that a job's experts and its baseline go on from."""

    artifact: Artifact
    digest: str


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


def starting_model(
    order: TrainingOrder, artifacts: Artifacts, task: Task, dataset: Dataset
) -> tuple[nn.Module, Seed | None]:
    """What an island and the baseline begin with: the seed where there is one.

    Raises:
        BadTaskError: the task breaks its protocol.
        ContractError: the seed's weights do not fit the task's model.
        RejectedError: nothing is bound to `seed`.
    """
    model = initial_model(task, dataset, order.seed)
    if not order.seeded:
        return model, None
    artifact = artifacts.fetch(names.SEED_REF)
    digest = artifacts.bindings(names.SEED_REF)[names.SEED_REF].digest
    require_fit(model.state_dict(), artifact.tensors, names.SEED_REF)
    model.load_state_dict(dict(artifact.tensors))
    return model, Seed(artifact, digest)


def base_of(
    order: TrainingOrder, artifacts: Artifacts, task: Task, dataset: Dataset, seed: Seed | None
) -> Base | None:
    """What readers of a Delta fetch: the seed, or else `init`; None for other encodings.

    Raises:
        RejectedError: nothing is bound to `init`.
        BadTaskError: the task breaks its protocol.
    """
    if order.encoding != "Delta":
        return None
    if seed is not None:
        return Base(names.SEED_REF, seed.digest, seed.artifact)
    return bound_initialization(artifacts, task, dataset, order.seed)


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
