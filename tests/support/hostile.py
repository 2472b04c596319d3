"""Messages that no honest client sends: any field may hold anything that its type can."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

Pools = Mapping[str, Sequence[Any]]
"""Values that mean something, by the name of the field that holds them."""

_NUMBERS: Final = (0, 1, -1, 255, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63))
_TEXTS: Final = (
    "",
    "..",
    "experts/../init",
    "/init",
    "init/",
    "experts//0",
    "experts/\uff10",  # a digit, but not ours
    "checkpoints/island-0/\u0000",
    "checkpoints/island-0/" + "9" * 400,
    "checkpoints/island-0/\U0001f600",
    "\u202eexperts/0",
    "init\n",
    "%s{0}{index}",
    "x" * 70_000,
)
_BYTES: Final = (
    b"",
    b"{}",
    b"[" * 100_000,
    b'{"schema":1}',
    bytes(1 << 20),
    b"x" * ((1 << 20) + 1),
)
_MANY: Final = 300
_MANY_WITHIN: Final = 8
"""In a message that is a part of another: many of many of the longest text are 6 GB."""


def messages(kind: Descriptor, pools: Pools, most: int = _MANY) -> st.SearchStrategy[Message]:
    """Any message of a kind, with lists of at most so many."""
    made = GetMessageClass(kind)
    fields = {field.name: _values(field, pools, most) for field in kind.fields}
    some = st.fixed_dictionaries({}, optional=fields)
    return (st.fixed_dictionaries(fields) | some).map(lambda values: made(**values))


def _values(field: FieldDescriptor, pools: Pools, most: int) -> st.SearchStrategy[Any]:
    one = _one(field, pools)
    if not field.is_repeated:
        return one
    return st.lists(one, max_size=4) | one.map(lambda value: [value] * most)


def _one(field: FieldDescriptor, pools: Pools) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return messages(field.message_type, pools, _MANY_WITHIN)
    any_value = {
        FieldDescriptor.CPPTYPE_INT64: st.sampled_from(_NUMBERS) | st.integers(-(1 << 63), 1 << 62),
        FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
        FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
        FieldDescriptor.CPPTYPE_STRING: _strings(field),
    }[field.cpp_type]
    known = pools.get(field.name, ())
    # Most values mean something: a message that is wrong in one place goes furthest.
    return st.one_of(*[st.sampled_from(known)] * 6, any_value) if known else any_value


def _strings(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.sampled_from(_BYTES) | st.binary(max_size=200)
    return st.sampled_from(_TEXTS) | st.text(max_size=40)


def filled(kind: Descriptor) -> Message:
    """A message with a value in every field; of a oneof the last stands."""
    examples: dict[int, Any] = {
        FieldDescriptor.TYPE_STRING: "experts/0",
        FieldDescriptor.TYPE_BYTES: b"bytes",
        FieldDescriptor.TYPE_INT64: 7,
        FieldDescriptor.TYPE_DOUBLE: 0.5,
        FieldDescriptor.TYPE_BOOL: True,
    }
    values = {}
    for field in kind.fields:
        one = filled(field.message_type) if field.message_type else examples[field.type]
        values[field.name] = [one, one] if field.is_repeated else one
    return GetMessageClass(kind)(**values)


def damaged(valid: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that were a message, cut or changed somewhere."""

    def damage(at: int, byte: int, cut: bool) -> bytes:  # noqa: FBT001
        return valid[:at] if cut else valid[:at] + bytes([byte]) + valid[at + 1 :]

    return st.builds(damage, st.integers(0, len(valid)), st.integers(0, 255), st.booleans())
