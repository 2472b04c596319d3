"""Names of metrics follow the rules of Prometheus, and each is shown to somebody."""

import re
from collections.abc import Iterator

import pytest

from atoll_telemetry.families import Family, Kind
from tools.monitoring import boards
from tools.monitoring.board import Board
from tools.monitoring.catalogue import FAMILY_OF, OURS, TARGET_LABELS, series_of
from tools.monitoring.promql import Matcher, filled, usage
from tools.monitoring.uses import EXAMPLE, Asked, asked, users

UNITS = ("seconds", "bytes", "ratio")
NOT_BASE = re.compile(
    r"_(ms|millis|milliseconds|minutes|hours|kb|mb|kilobytes|percent|pct|us)(_|$)"
)
ASKED = tuple(asked())


def complaints(family: Family) -> Iterator[str]:
    """What naming rules a family breaks: prometheus.io/docs/practices/naming."""
    name = family.name
    if not re.fullmatch(r"(atoll|kube_atoll_trainingjob)(_[a-z][a-z0-9]*)+", name):
        yield "snake case below our prefix"
    if name.endswith("_total") is not (family.kind is Kind.COUNTER):
        yield "`_total` is of counters, and of all counters"
    if name.endswith(("_count", "_sum", "_bucket")):
        yield "a suffix that Prometheus itself adds"
    if name.endswith("_info") and family.kind is not Kind.GAUGE:
        yield "information is a gauge"
    if NOT_BASE.search(name):
        yield "no base unit"
    if "timestamp" in name and not name.endswith("_timestamp_seconds"):
        yield "a time is in seconds since the epoch"
    said = family.help.lower()
    if re.match(r"(seconds|bytes)\b", said) and said.split()[0] not in name:
        yield "the help has a unit that the name has not"
    if family.kind is Kind.HISTOGRAM and not name.endswith(UNITS):
        yield "a histogram without a unit"
    if family.kind is Kind.HISTOGRAM and list(family.buckets) != sorted(set(family.buckets)):
        yield "buckets that do not grow"
    yield from _of_labels(family)


def _of_labels(family: Family) -> Iterator[str]:
    for label in family.labels:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", label.name) or label.name in ("le", "quantile"):
            yield f"label {label.name}"
    if not family.help.endswith("."):
        yield "help is a sentence"


@pytest.mark.parametrize("family", OURS, ids=lambda it: it.name)
def test_a_name_follows_the_rules(family: Family) -> None:
    assert list(complaints(family)) == []


@pytest.mark.parametrize(
    ("family", "word"),
    [
        (Family("atoll_x", Kind.COUNTER, "X."), "_total"),
        (Family("atoll_x_total", Kind.GAUGE, "X."), "_total"),
        (Family("atollX", Kind.GAUGE, "X."), "snake"),
        (Family("atoll_x_milliseconds", Kind.GAUGE, "X."), "base unit"),
        (Family("atoll_x", Kind.GAUGE, "Seconds of x."), "unit that the name"),
        (Family("atoll_x", Kind.HISTOGRAM, "X.", buckets=(1.0,)), "without a unit"),
        (Family("atoll_x_seconds", Kind.HISTOGRAM, "X.", buckets=(2.0, 1.0)), "grow"),
        (Family("atoll_x_count", Kind.GAUGE, "X."), "itself adds"),
        (Family("atoll_x", Kind.GAUGE, "X"), "sentence"),
    ],
)
def test_a_planted_name_is_caught(family: Family, word: str) -> None:
    assert word in " ".join(complaints(family))


def test_no_name_is_declared_twice() -> None:
    names = [name for family in OURS for name in series_of(family)]
    assert len(names) == len(set(names))


def test_every_metric_is_shown_or_watched() -> None:
    shown = users()
    assert [family.name for family in OURS if family.name not in shown] == []


def labels_of(name: str) -> frozenset[str]:
    return frozenset(TARGET_LABELS) | series_of(FAMILY_OF[name])[name]


def unknown(query: str) -> list[str]:
    """Series, labels and values of labels in a query that nobody makes."""
    found = usage(query)
    wrong = [it.name for it in found.selectors if it.name not in FAMILY_OF]
    known = [it for it in found.selectors if it.name in FAMILY_OF]
    for selector in known:
        wrong += [f"{selector.name}.{it.label}" for it in selector.matchers
                  if it.label not in labels_of(selector.name) or not possible(selector.name, it)]  # fmt: skip
    everywhere = frozenset[str]().union(*(labels_of(it.name) for it in known), found.made)
    return wrong + sorted(found.grouped_by - everywhere)


def possible(name: str, matcher: Matcher) -> bool:
    """Whether a label can have that value, where its values are known."""
    values = {it.name: it.values for it in FAMILY_OF[name].labels}.get(matcher.label, ())
    pattern = matcher.value if "~" in matcher.sign else re.escape(matcher.value)
    parts = [pattern] if "(" in pattern else pattern.split("|")
    return not values or all(any(re.fullmatch(part, it) for it in values) for part in parts)


@pytest.mark.parametrize("one", ASKED, ids=lambda it: f"{it.where} {it.title}")
def test_a_query_asks_only_for_what_there_is(one: Asked) -> None:
    assert unknown(one.expr) == []


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("atoll_no_such_total", "atoll_no_such_total"),
        ("atoll_train_step_duration_seconds", "atoll_train_step_duration_seconds"),
        ('atoll_train_loss{step="island-0"}', "atoll_train_loss.step"),
        ('atoll_train_loss{split="test"}', "atoll_train_loss.split"),
        ('atoll_comm_bytes_total{peer=~"hub|friend"}', "atoll_comm_bytes_total.peer"),
        ("sum by (phase) (atoll_train_loss)", "phase"),
    ],
)
def test_a_planted_query_is_caught(query: str, wrong: str) -> None:
    assert unknown(query) == [wrong]


@pytest.mark.parametrize("board", boards.ALL, ids=lambda it: it.uid)
def test_a_variable_takes_its_values_from_what_there_is(board: Board) -> None:
    known = {"datasource"}
    for choice in board.choices:
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", choice.query)
        assert match, choice.query
        assert unknown(filled(match[1], EXAMPLE)) == []
        (selector,) = usage(filled(match[1], EXAMPLE)).selectors
        assert match[2] in labels_of(selector.name)
        assert set(re.findall(r"\$(\w+)", match[1])) <= known, "of a variable before it"
        known.add(choice.name)
    used = {it for view in board.views for expr in view.expressions
            for it in re.findall(r"\$(\w+)", expr) if not it.startswith("__")}  # fmt: skip
    assert used | {"datasource"} == known
