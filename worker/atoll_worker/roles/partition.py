"""The partition role: divide the data, freeze the division, publish it.

Where trained models travel as deltas it publishes what they are taken against too: it is the one
step that all others wait for.
"""

import logging

from atoll_api import names
from atoll_api.spec.partition import TextClusters
from atoll_api.work_order import PartitionOrder, refs_written
from atoll_worker.data.assignment import Assignment
from atoll_worker.data.dataset import Dataset
from atoll_worker.data.load import load
from atoll_worker.data.partition import check_sizes, divide
from atoll_worker.data.text_clusters import TextClusterer
from atoll_worker.data.text_partition import divide_text
from atoll_worker.ports import Context, ProgressReport
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.initial import initialization

_log = logging.getLogger(__name__)


def run(order: PartitionOrder, context: Context) -> None:
    """Publish `assignment/<i>` for each island, and `assignment` last: that one means done.

    Before them comes `clusters`, where text was divided by its clusters: what places new texts.

    Raises:
        BadTaskError: the task, whose initialization is asked for, breaks its protocol.
        BadDataError: the data cannot be read, or cannot be divided as asked.
    """
    if context.artifacts.bindings().keys() >= set(refs_written(order)):
        return
    total = order.count + 2
    context.progress.report(ProgressReport(0, total, message="reading the data"))
    dataset = load(order.data, order.context)
    context.progress.report(ProgressReport(1, total, message="dividing the data"))
    assignment, clusterer = _divide(dataset, order)
    if assignment.divided:
        check_sizes(assignment, order.batch_size, order.partition)
    if order.initialization is not None:
        task = load_task(order.initialization)
        context.artifacts.publish(names.INIT_REF, initialization(task, dataset, order.seed))
    if clusterer is not None:
        clusters = clusterer.to_artifact(assignment.identity(dataset))
        context.artifacts.publish(names.CLUSTERS_REF, clusters)
    for island in range(order.count):
        ref = names.island_assignment_ref(island)
        part = assignment.part_artifact if assignment.divided else assignment.agreement
        context.artifacts.publish(ref, part(dataset, island))
    artifact = assignment.to_artifact(dataset, order.partition.type)
    context.artifacts.publish(names.ASSIGNMENT_REF, artifact)
    _log.info("%s", _said(assignment))
    context.progress.report(ProgressReport(total, total, message=_said(assignment)))


def _said(assignment: Assignment) -> str:
    if not assignment.divided:
        return "each island brings its own data"
    return f"samples an island: {', '.join(str(size) for size in assignment.sizes)}"


def _divide(dataset: Dataset, order: PartitionOrder) -> tuple[Assignment, TextClusterer | None]:
    if order.partition.type == "TextClusters":
        settings = order.partition.text_clusters or TextClusters()
        return divide_text(dataset, settings, order.count, order.seed)
    if order.partition.type == "PerIsland":
        return Assignment.of_nobody(dataset, order.count), None
    return divide(dataset, order.partition, order.count, order.seed), None
