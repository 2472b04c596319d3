"""Variables that several dashboards have, and what they choose in a query."""

from typing import Final

from tools.monitoring.board import Choice

OF_JOB: Final = 'namespace="$namespace", trainingjob="$job"'
"""Every series of the job, of whatever pod."""
ISLANDS: Final = f'{OF_JOB}, step=~"island-$island"'
"""What the hub says of the chosen islands."""
PODS: Final = f'{OF_JOB}, island=~"$island"'
"""What the pods of the chosen islands say."""

NAMESPACE: Final = Choice(
    "namespace", "Namespace", "label_values(atoll_reported_train_steps_total, namespace)"
)
JOB: Final = Choice(
    "job",
    "Job",
    'label_values(atoll_reported_train_steps_total{namespace="$namespace"}, trainingjob)',
)
ISLAND: Final = Choice(
    "island",
    "Island",
    f"label_values(atoll_reported_train_steps_total{{{OF_JOB}}}, step)",
    regex="/(?<text>island-(?<value>.+))/",
    several=True,
    every=".+",
)
ONE_JOB: Final = (NAMESPACE, JOB, ISLAND)


def quantiles(series: str, by: str = "", window: str = "$__rate_interval") -> tuple[str, str]:
    """Median and 90th percentile of a histogram, from its buckets with their matchers."""
    labels = f"le, {by}" if by else "le"
    asked = f"sum by ({labels}) (rate({series}[{window}]))"
    return f"histogram_quantile(0.5, {asked})", f"histogram_quantile(0.9, {asked})"
