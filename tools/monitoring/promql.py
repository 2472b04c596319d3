"""What a query asks for: its series, their matchers, and the labels it groups by. No evaluation.

Not a parser: Prometheus itself says whether a query is well formed. This tells names apart, which
no tool of Prometheus 2.42 prints.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<range>\[[^\]]*\])
    |(?P<number>\d[\w.]*)
    |(?P<name>[a-zA-Z_:][\w:]*)
    |(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},@])""",
    re.VERBOSE,
)
_GROUPING: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS: Final = _GROUPING | {"and", "or", "unless", "bool", "offset", "start", "end", "inf", "nan"}
_VARIABLE: Final = re.compile(r"\$(?:\{([a-zA-Z_]\w*)(?::\w+)?\}|([a-zA-Z_]\w*))")
_MATCHING: Final = ("=", "!=", "=~", "!~")


@dataclass(frozen=True)
class Matcher:
    """One condition on a label."""

    label: str
    sign: str
    value: str


@dataclass(frozen=True)
class Selector:
    """Series that a query asks for."""

    name: str
    matchers: tuple[Matcher, ...] = ()


@dataclass
class Usage:
    """What a query asks for."""

    selectors: list[Selector] = field(default_factory=list)
    grouped_by: set[str] = field(default_factory=set)
    """Labels in `by`, `on` and their like, and those that `label_replace` reads."""
    made: set[str] = field(default_factory=set)
    """Labels that the query itself makes."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


_NOTHING: Final = _Token("end", "")


def usage(query: str) -> Usage:
    """What a query asks for; Grafana's variables must be filled in.

    Raises:
        ValueError: a character that no query has, or a selector without a name.
    """
    tokens = [*_tokens(query), _NOTHING]
    found = Usage()
    at = 0
    while at < len(tokens) - 1:
        at = _read(tokens, at, found)
    return found


def _tokens(query: str) -> Iterator[_Token]:
    at = 0
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            raise ValueError(f"{query!r}: {query[at]!r} at {at} is of no query")
        at = match.end()
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match.group())


def _read(tokens: Sequence[_Token], at: int, found: Usage) -> int:
    """Take in what begins at `at`; where the next thing begins."""
    token, following = tokens[at], tokens[at + 1]
    if token.text == "{" and token.kind == "sign":
        raise ValueError("a selector without a name")
    if token.kind != "name":
        return at + 1
    if token.text.lower() in _GROUPING and following.text == "(":
        names = _within(tokens, at + 1)
        found.grouped_by |= {it.text for it in names if it.kind == "name"}
        return at + 2 + len(names)
    if token.text.lower() in _WORDS or _is_call(tokens, at):
        _note_labels(tokens, at, found)
        return at + 1
    return _selector(tokens, at, found)


def _is_call(tokens: Sequence[_Token], at: int) -> bool:
    following = tokens[at + 1].text
    return following == "(" or following.lower() in ("by", "without")


def _within(tokens: Sequence[_Token], at: int) -> list[_Token]:
    """What is between the bracket at `at` and its partner."""
    depth = 0
    found: list[_Token] = []
    for token in tokens[at:]:
        depth += (token.text in ("(", "{")) - (token.text in (")", "}"))
        if depth == 0:
            return found[1:]
        found.append(token)
    raise ValueError("a bracket without its partner")


def _note_labels(tokens: Sequence[_Token], at: int, found: Usage) -> None:
    """Of `label_replace(v, "made", "$1", "read", "...")` and `label_join(v, "made", "-", ...)`."""
    if tokens[at].text not in ("label_replace", "label_join"):
        return
    texts = [it.text[1:-1] for it in _top_level(_within(tokens, at + 1)) if it.kind == "text"]
    found.made.add(texts[0])
    found.grouped_by |= set(texts[2:3] if tokens[at].text == "label_replace" else texts[2:])


def _top_level(tokens: Sequence[_Token]) -> Iterator[_Token]:
    depth = 0
    for token in tokens:
        depth += token.text in ("(", "{")
        if depth == 0:
            yield token
        depth -= token.text in (")", "}")


def _selector(tokens: Sequence[_Token], at: int, found: Usage) -> int:
    name = tokens[at].text
    if tokens[at + 1].text != "{":
        found.selectors.append(Selector(name))
        return at + 1
    inside = _within(tokens, at + 1)
    found.selectors.append(Selector(name, tuple(_matchers(inside))))
    return at + 3 + len(inside)


def _matchers(inside: Sequence[_Token]) -> Iterator[Matcher]:
    for at in range(0, len(inside), 4):
        label, sign, value, *_ = (*inside[at : at + 3], _NOTHING, _NOTHING)
        if label.kind != "name" or sign.text not in _MATCHING or value.kind != "text":
            raise ValueError(f"{label.text}{sign.text}{value.text} is no matcher")
        yield Matcher(label.text, sign.text, value.text[1:-1])


def filled(query: str, variables: Mapping[str, str]) -> str:
    """A query of a dashboard with Grafana's variables filled in: `$job`, `${job}`, `${job:regex}`.

    Raises:
        KeyError: it has one that is not given.
    """
    return _VARIABLE.sub(lambda it: variables[it[1] or it[2]], query)
