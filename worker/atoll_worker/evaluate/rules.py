"""From the names of a job's spec to combine rules."""

from atoll_api.spec.strategy import Combine, CombineType
from atoll_api.spec.strategy import Threshold as ThresholdSettings
from atoll_api.spec.strategy import TopK as TopKSettings
from atoll_worker.ensemble.combine import Full, Oracle, Rule, Sample, Sticky, Threshold, TopK


def rule_named(name: CombineType, combine: Combine) -> Rule:
    """The rule of a name, with the settings of `combine` where it is of the same type."""
    match name:
        case "TopK":
            return TopK((combine.top_k or TopKSettings()).k)
        case "Threshold":
            return Threshold((combine.threshold or ThresholdSettings()).minimum)
        case "Full":
            return Full()
        case "Sticky":
            return Sticky()
        case "Sample":
            return Sample()
        case "Oracle":
            return Oracle()


def settings_of(rule: Rule) -> dict[str, float]:
    """What a rule was set to, for the report."""
    match rule:
        case TopK(k):
            return {"k": k}
        case Threshold(minimum):
            return {"minimum": minimum}
        case _:
            return {}


def names_to_score(
    strategies: tuple[CombineType, ...], combine: Combine
) -> tuple[CombineType, ...]:
    """The strategies to compare, and the job's own one first if it is not among them."""
    own: tuple[CombineType, ...] = () if combine.type in strategies else (combine.type,)
    return tuple(dict.fromkeys(own + strategies))
