"""What the evaluation of a finished run was told: it says what to load."""

from atoll_api import names
from atoll_api.ordering import Place, work_order
from atoll_api.spec import TrainingJob
from atoll_api.work_order import EvaluateOrder
from atoll_operator.local.run import identity
from atoll_operator.plan.pipeline import pipeline


def evaluate_order(job: TrainingJob) -> EvaluateOrder:
    """The order of the job's own evaluation."""
    (step,) = (step for step in pipeline(job.spec) if step.name == names.EVALUATE)
    who = identity(job)
    order = work_order(who, job.spec, step.process(who.uid), Place(hub="", report_folder=""))
    assert isinstance(order, EvaluateOrder)
    return order
