"""The pages that are made of the catalogues: every metric, every alert, and the file of rules."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from atoll_cli.documents import to_yaml
from atoll_operator import metrics as operators
from atoll_telemetry.families import Family, Label
from atoll_worker import metrics as workers
from tools.monitoring import boards
from tools.monitoring.alerts.alert import Group
from tools.monitoring.catalogue import TARGET_LABELS, unit_of
from tools.monitoring.uses import users

_HEAD: Final = """\
# Metrics

Made of the catalogues (`worker/atoll_worker/metrics.py`, `operator/atoll_operator/metrics.py`) by
`make generate`. Names and labels are a promise.

Every process of a job says what it does itself; its counters end with it. What a step has done in all its
attempts, its hub goes on to say as `atoll_reported_...`, by `step`: use those for totals and curves of a
job, and the others for what a pod does now. Counters begin at 0; a value that is not known yet is NaN.

## Labels of targets

No process says its own name: the scrape configuration adds these, from labels of pods or, for a run on
this machine, from `targets.json`. Of the operator it has to keep labels where both say one (`honorLabels:
true`): its series of jobs have a `namespace` of their own. Of pods of jobs it must not: whose they are is not
theirs to say.

| label | |
|---|---|
"""
_RULES_HEAD: Final = (
    "# Alerts, for `rule_files` of Prometheus 2.42 or later. Made by `make generate`;"
    " runbooks are in docs/runbooks.\n"
)
_INDEX_HEAD: Final = """\
# Runbooks

One page an alert: what it means, what to look at, what to do. The alerts are in
`charts/atoll/files/alerts.yaml`, a file of rules that any Prometheus reads; on a cluster the chart makes a
PrometheusRule of it (`metrics.prometheusRule.enabled`). This list is made of them by `make generate`.

*Critical* wakes somebody, *warning* is for today, *info* is to know.

| alert | severity | after | |
|---|---|---|---|
"""


def page() -> str:
    """docs/metrics.md."""
    targets = "".join(f"| `{name}` | {said} |\n" for name, said in TARGET_LABELS.items())
    sections = "".join(f"\n## {title}\n\n{_table(found)}" for title, found in _sections())
    return f"{_HEAD}{targets}{sections}\n{_labels()}"


def _sections() -> Iterator[tuple[str, Iterable[Family]]]:
    yield "Every process of a job", workers.EVERYWHERE
    yield "Training", (it for it in workers.TRAINING if it not in workers.EVERYWHERE)
    merging = dict.fromkeys((*workers.ISLAND, *workers.MERGE, *workers.ROUTER))
    yield "Islands, merges, routers", merging
    yield "GPUs", workers.GPU
    yield "The hub", workers.HUB
    yield "What the hub says of steps", workers.REPORTED.values()
    yield "The operator", operators.COMPONENT
    yield "Jobs, as the operator sees them", operators.OBJECTS


def _table(families: Iterable[Family]) -> str:
    used = users()
    head = "| metric | type, unit | labels | meaning | used in |\n|---|---|---|---|---|\n"
    return head + "".join(_row(family, used.get(family.name, ())) for family in families)


def _row(family: Family, used: tuple[str, ...]) -> str:
    unit = unit_of(family)
    labels = ", ".join(f"`{label.name}`" for label in family.labels)
    when = f" *Only {family.when}.*" if family.when else ""
    buckets = (
        f" Buckets: {', '.join(f'{it:g}' for it in family.buckets)}." if family.buckets else ""
    )
    kind = f"{family.kind}, {unit}" if unit else str(family.kind)
    return (
        f"| `{family.name}` | {kind} | {labels} | {family.help}{buckets}{when} | {_links(used)} |\n"
    )


def _links(used: tuple[str, ...]) -> str:
    titles = {board.uid: board.title.removeprefix("Atoll / ") for board in boards.ALL}
    return ", ".join(titles.get(it) or f"[{it}](runbooks/{it}.md)" for it in used)


def _labels() -> str:
    every = (*workers.ALL, *operators.ALL)
    seen = {(label, label.values): label for it in every for label in it.labels}
    rows = "".join(_label_row(label, _having(label, every)) for label in seen.values())
    head = "## Labels and their values\n\n| label | of | values | meaning |\n|---|---|---|---|\n"
    return head + rows


def _having(label: Label, families: Iterable[Family]) -> str:
    names = [f"`{it.name}`" for it in families if label in it.labels]
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _label_row(label: Label, having: str) -> str:
    values = ", ".join(f"`{it}`" for it in label.values) or "*not known beforehand*"
    return f"| `{label.name}` | {having} | {values} | {label.meaning} |\n"


def rules_file(document: Mapping[str, Any]) -> str:
    """charts/atoll/files/alerts.yaml."""
    return _RULES_HEAD + to_yaml(dict(document))


def index(groups: Iterable[Group]) -> str:
    """docs/runbooks/README.md."""
    return _INDEX_HEAD + "".join(
        f"| [{it.name}]({it.name}.md) | {it.severity} | {it.hold} | {it.summary} |\n"
        for group in groups
        for it in group.alerts
    )
