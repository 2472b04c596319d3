"""What a query asks for is read as Prometheus reads it."""

import pytest

from tools.monitoring.promql import Matcher, Selector, filled, usage


def names(query: str) -> list[str]:
    return [it.name for it in usage(query).selectors]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("up", ["up"]),
        ("sum(up)", ["up"]),
        ("sum by (role) (a_total) / sum without (b) (c)", ["a_total", "c"]),
        ("sum(a) by (role)", ["a"]),
        ("rate(a_total[5m] offset 1h)", ["a_total"]),
        ("a and on (x, y) b unless ignoring (z) c or d", ["a", "b", "c", "d"]),
        ("a * on (x) group_left (y) b", ["a", "b"]),
        ("a * on (x) group_left b", ["a", "b"]),
        ("time() - a > bool 1e3", ["a"]),
        ("max_over_time((a > -Inf)[2h:1m])", ["a"]),
        ('a{b="c{d}", e=~"f\\"g"} # h', ["a"]),
        ("topk(10, a:b_c)", ["a:b_c"]),
        ("vector(0) or NaN == a", ["a"]),
    ],
)
def test_series(query: str, expected: list[str]) -> None:
    assert names(query) == expected


def test_matchers() -> None:
    found = usage("a{b=\"c\", d!~'e|f',}").selectors
    assert found == [Selector("a", (Matcher("b", "=", "c"), Matcher("d", "!~", "e|f")))]


def test_labels_of_groups() -> None:
    found = usage("sum by (a, b) (x) * on (c) group_left (d) y")
    assert found.grouped_by == {"a", "b", "c", "d"}
    assert not found.made


def test_labels_that_a_query_makes() -> None:
    found = usage('sum by (step) (label_replace(x{a="b"}, "step", "island-$1", "island", "(.+)"))')
    assert found.made == {"step"}
    assert found.grouped_by == {"step", "island"}
    joined = usage('label_join(x, "made", "-", "a", "b")')
    assert joined.made == {"made"}
    assert joined.grouped_by == {"a", "b"}


@pytest.mark.parametrize("query", ['{a="b"}', "a{b}", "a{b=c}", "a{b", "a ? b", 'a{"b"="c"}'])
def test_what_is_no_query_is_said(query: str) -> None:
    with pytest.raises(ValueError, match=r"of no query|no matcher|without"):
        usage(query)


def test_variables_are_filled_in() -> None:
    values = {"job": "digits", "island": "(0|1)", "__rate_interval": "1m"}
    query = 'rate(a{b="$job", c=~"island-${island:regex}"}[$__rate_interval])'
    assert filled(query, values) == 'rate(a{b="digits", c=~"island-(0|1)"}[1m])'
    assert filled('label_replace(a, "b", "$1", "c", "(.+)")', {}).count("$1") == 1
    with pytest.raises(KeyError):
        filled("a[$__interval]", values)
