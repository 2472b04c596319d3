"""The merge role: one model of the islands' last weights, and how well they merge on the way."""

from atoll_api import names
from atoll_api.work_order import MergeOrder
from atoll_telemetry import tracing
from atoll_worker.data.load import load
from atoll_worker.ports import Context
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.gathering import Gathering
from atoll_worker.train.member import course_of
from atoll_worker.train.session import use_threads


def run(order: MergeOrder, context: Context) -> None:
    """Publish `mergeability/<round>` now and then, and `merged` at the end: that one means done.

    Raises:
        ContractError: fewer islands than the quorum whose weights can be averaged.
        DisruptedError: told to stop; a restart goes on from what is bound.
    """
    if names.MERGED_REF in context.artifacts.bindings(names.MERGED_REF):
        return
    use_threads(order.threads)
    task = load_task(order.task)
    dataset = load(order.data, order.task.context)
    course = course_of(order.merging, order.steps, order.seed)
    gathering = Gathering(order, context, task, dataset)
    for number in range(len(course.ends)):
        if course.evaluated(number):
            with tracing.span("mergeability", round=number):
                gathering.evaluate(number, course.ends[number])
    with tracing.span("final merge"):
        gathering.merge()
