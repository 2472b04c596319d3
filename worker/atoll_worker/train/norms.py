"""Norm statistics of the merged model, measured where the data are: only they leave an island."""

from typing import Final

from pydantic import JsonValue

from atoll_api import names
from atoll_worker.data.dataset import Dataset
from atoll_worker.errors import DisruptedError
from atoll_worker.ports import Artifact, ProgressReport
from atoll_worker.tasks.base import Task
from atoll_worker.train.initial import initial_model
from atoll_worker.train.member import Member
from atoll_worker.train.merging import PATIENCE_SECONDS, SLICE_SECONDS
from atoll_worker.train.session import World

_ROLE: Final = "island"


def publish_statistics(
    member: Member, task: Task, dataset: Dataset, world: World, missed: str = ""
) -> None:
    """Wait for the mean of all islands, and publish its statistics on this island's data.

    A network without any publishes that there are none, at once. There is no deadline: whoever
    finished early would else be left out of the statistics though nothing failed. The mean comes
    when the last island has finished, or the job fails and this island is stopped.

    Args:
        member: the island.
        task: the job's.
        dataset: its data.
        world: hub, clock and meter.
        missed: what stays to be said of its rounds.

    Raises:
        DisruptedError: told to stop; a restart goes on from here.
    """
    order = member.order
    if member.merging.final.norm_statistics != "Reestimate":
        return
    model = initial_model(task, dataset, order.seed)
    found = {}
    if member.network.statistics(model):
        _wait_for_the_mean(member, world)
        mean = member.around.fetch(names.MEAN_REF, PATIENCE_SECONDS)
        model.load_state_dict(dict(mean.tensors))
        member.network.reestimate(model)
        found = member.network.statistics(model)
    samples = len(member.job.train)
    metadata: dict[str, JsonValue] = {
        "role": _ROLE,
        "island": order.island,
        "trainSamples": samples,
    }
    ref = names.statistics_ref(order.island)
    world.context.artifacts.publish(ref, Artifact(found, metadata))
    _say(member, world, missed)


def _wait_for_the_mean(member: Member, world: World) -> None:
    _say(member, world, "waits for the mean, to measure norm statistics")
    while not member.around.wait([names.MEAN_REF], SLICE_SECONDS):
        if world.context.stop.requested():
            raise DisruptedError(f"{member.job.name}: told to stop; its weights are there")


def _say(member: Member, world: World, message: str) -> None:
    steps = member.job.steps
    world.context.progress.report(
        ProgressReport(steps, steps, message=message, training_wire=world.wire())
    )
