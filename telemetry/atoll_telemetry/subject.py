"""What a line of a log, or a span, is about: the job, its namespace, the step, the island.

What a process is about from its begin to its end holds for all its threads. What only a part of it is
about, as one of the many jobs of an operator, holds for that task and for those that it starts.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

Value = str | int | float | bool
Fields = Mapping[str, Value]

_NOTHING: Final[Fields] = MappingProxyType({})


class _Process:
    """What this process is about."""

    fields: Fields = _NOTHING


_here: ContextVar[Fields] = ContextVar("subject", default=_NOTHING)


def of_process(**fields: Value | None) -> None:
    """Say what this whole process is about; a field that is None is not known."""
    _Process.fields = MappingProxyType(_known(fields))


@contextmanager
def of(**fields: Value | None) -> Iterator[None]:
    """Say what this block is about, beside what holds around it."""
    token = _here.set(MappingProxyType({**_here.get(), **_known(fields)}))
    try:
        yield
    finally:
        _here.reset(token)


def now() -> dict[str, Value]:
    """All that is known here."""
    return {**_Process.fields, **_here.get()}


def _known(fields: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in fields.items() if value is not None}
