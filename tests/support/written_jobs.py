"""Documents as anybody may write them, read off the types: one value at a time, or drawn.

Values at the edges of what a type accepts, and texts that two libraries may take for different
things. What a field accepts is not decided here: its type is asked.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from atoll_api.base import FrozenModel, TaggedUnion
from atoll_api.spec.islands import Islands
from atoll_api.spec.template import EnvironmentVariable, ValueSource, Volume

Drawn = st.SearchStrategy[Any]
Document = dict[str, Any]

_TEXTS: Final = (
    "a", "A", "0", "-", "_", ".", "/", ":", "é", "Å", "😀", "a\n", "a b", " a", "a ", "\t", "\x00",
    "", "a..b", "a.-b", "a-", "1e3", "~", "{island}", "$(HOME)", "kubernetes.io/a", "ab-c.d/e",
    "builtin://digits", "file:///a b/é", "file://\u00a0", "s3://my-bucket/a/b=c/", "s3://a.b",
    "https://[::1]:9000/a", "http://a.b", "package.module:Class", "é.b:C", "a.é:C", "a.b:Cé",
    "10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00::/8", "10.0.0.0/255.0.0.0", "10.0.0.0/0.255.255.255",
    "10.0.0.0/08", "::ffff:10.0.0.0/104", "::ffff:0:0/96", "fe80::%eth0/64", "1.2.3.4/32",
    "::1.2.3.4/128", "1", "01", "0.5", "1.", "500m", "2Gi", "1E", "1Ei", "999999999999999Ti", "0m",
    "1k", "\u0661", "\u0661Gi", "9" * 32, "0." + "0" * 30, "/a", "/a/../b", "//", "/\n", "/é",
    "a/b", "é/b",
)  # fmt: skip
_BEGINNINGS: Final = ("", "/", "1", "s3://abc/", "http://", "builtin://", "a/", "a.b:", "é")
_LENGTHS: Final = (63, 64, 253, 254, 317, 1024, 1025, 32_768)
_WHOLE: Final = (-1, 0, 1, 7443, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**30)
_REAL: Final = (0.0, 5e-324, 1e-7, 0.1, 1, 1.0, 1e22, 1.7976931348623157e308)
_OPAQUE: Final[tuple[Document, ...]] = ({}, {"a": [1, "b", {"c": 2.5}], "é": {"b": ""}})
_MOST_ITEMS: Final = 3
_ONE_OF: Final[dict[type[FrozenModel], tuple[str, ...]]] = {
    EnvironmentVariable: ("value", "value_from"),
    ValueSource: ("secret_key_ref", "config_map_key_ref"),
    Volume: ("empty_dir", "persistent_volume_claim", "config_map", "secret", "nfs", "csi"),
}
"""Fields of which exactly one is written."""


@dataclass(frozen=True)
class _Shape:
    """The least that can be written of a model, and what of it may vary."""

    least: Document
    fields: Sequence[FieldInfo]


def each_value(model: type[FrozenModel]) -> Iterator[Document]:
    """Smallest documents with one field at one of its values, for all fields and values."""
    for shape in _shapes(model):
        yield shape.least
        for field in shape.fields:
            for value in _each(field.annotation, tuple(field.metadata)):
                yield {**shape.least, str(field.alias): value}


@st.composite
def documents(draw: st.DrawFn, model: type[FrozenModel]) -> Document:
    """Documents that break no rule of a node."""
    found: Document = draw(_documents(model))
    return found


@functools.cache
def _documents(model: type[FrozenModel]) -> Drawn:
    drawn = st.one_of([_drawn_shape(it) for it in _shapes(model)])
    if model is Islands:
        return drawn.filter(lambda it: (it.get("quorum") or 1) <= it["count"])
    if model is EnvironmentVariable:
        return drawn.filter(lambda it: not it["name"].startswith("ATOLL_"))
    return drawn


def _shapes(model: type[FrozenModel]) -> Iterator[_Shape]:
    """One, or one for each type of a union."""
    fields = model.model_fields
    needed = {str(it.alias): _least(it) for it in fields.values() if it.is_required()}
    if issubclass(model, TaggedUnion):
        yield from _shapes_of_union(model)
        return
    exclusive = _ONE_OF.get(model, ())
    shared = [it for name, it in fields.items() if name not in exclusive]
    for name in exclusive:
        yield _Shape(needed | {str(fields[name].alias): _least(fields[name])}, [*shared])
    if not exclusive:
        yield _Shape(needed, shared)


def _shapes_of_union(model: type[TaggedUnion]) -> Iterator[_Shape]:
    for chosen, name in model.members.items():
        member = model.model_fields[name] if name else None
        least: Document = {"type": chosen}
        if member is not None and (own := _least(member)):
            least[str(member.alias)] = own
        yield _Shape(least, [member] if member else [])
    if not model.model_fields["type"].is_required():
        yield _Shape({}, [])


def _drawn_shape(shape: _Shape) -> Drawn:
    drawn = {str(it.alias): _drawn_field(it) for it in shape.fields}
    fixed = {name: drawn.pop(name, st.just(it)) for name, it in shape.least.items()}
    return st.fixed_dictionaries(fixed, optional=drawn)


def _drawn_field(field: FieldInfo) -> Drawn:
    extra = field.json_schema_extra
    keys = extra.get("x-kubernetes-list-map-keys") if isinstance(extra, dict) else None
    if not isinstance(keys, list):
        return _drawn(field.annotation, tuple(field.metadata))
    item = _drawn(get_args(field.annotation)[0])
    return st.lists(item, max_size=_MOST_ITEMS, unique_by=lambda it: it[keys[0]])


def _drawn(annotation: Any, metadata: tuple[Any, ...] = ()) -> Drawn:
    annotation, metadata = _plain(annotation, metadata)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        value = next(it for it in arguments if it is not NoneType)
        return st.none() | _drawn(value, metadata)
    if origin is tuple:
        fewest = max((getattr(it, "min_length", None) or 0 for it in metadata), default=0)
        return st.lists(_drawn(arguments[0]), min_size=fewest, max_size=_MOST_ITEMS)
    if origin is dict and arguments[1] is not Any:
        return st.dictionaries(*map(_drawn, arguments), max_size=_MOST_ITEMS)
    if isinstance(annotation, type) and issubclass(annotation, FrozenModel):
        return documents(annotation)
    return st.sampled_from(_leaves(annotation, metadata))


def _each(annotation: Any, metadata: tuple[Any, ...] = ()) -> Iterator[Any]:
    annotation, metadata = _plain(annotation, metadata)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        yield None
        yield from _each(next(it for it in arguments if it is not NoneType), metadata)
    elif origin is tuple:
        yield from ([it] for it in _each(arguments[0]))
    elif origin is dict and arguments[1] is not Any:
        values = list(_each(arguments[1]))
        yield from ({key: values[0]} for key in _each(arguments[0]))
        yield from ({"a": value} for value in values)
    elif isinstance(annotation, type) and issubclass(annotation, FrozenModel):
        yield from each_value(annotation)
    else:
        yield from _leaves(annotation, metadata)


def _least(field: FieldInfo) -> Any:
    return next(it for it in _each(field.annotation, tuple(field.metadata)) if it is not None)


def _plain(annotation: Any, metadata: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Without `Annotated`, whose words join the others."""
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = (*metadata, *more)
    return annotation, metadata


def _leaves(annotation: Any, metadata: tuple[Any, ...]) -> list[Any]:
    """Values without parts that the type accepts."""
    config = ConfigDict(strict=True, allow_inf_nan=False)
    adapter = TypeAdapter(Annotated[annotation, *(metadata or (None,))], config=config)
    found: list[Any] = []
    for value in _candidates(annotation, metadata):
        try:
            adapter.validate_python(value)
        except ValidationError:
            continue
        found.append(value)
    assert found, f"no value is known for {annotation} {metadata}"
    return found


def _candidates(annotation: Any, metadata: tuple[Any, ...]) -> Sequence[Any]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if annotation is bool:
        return (False, True)
    if annotation is int:
        return (*_bounds(metadata), *_WHOLE)
    if annotation is float:
        edges = _bounds(metadata)
        near = (math.nextafter(it, way) for it in edges for way in (-math.inf, math.inf))
        return (*edges, *near, *_REAL)
    if annotation is str:
        return (*_TEXTS, *_long_texts(metadata), *_WHOLE)
    assert get_origin(annotation) is dict, annotation
    return _OPAQUE


def _bounds(metadata: tuple[Any, ...]) -> tuple[float, ...]:
    known = (_said(it, bound) for it in metadata for bound in ("ge", "gt", "le", "lt"))
    edges = [it for it in known if it is not None]
    return (*edges, *(it + way for it in edges for way in (-1, 1)))


def _long_texts(metadata: tuple[Any, ...]) -> Iterator[str]:
    said = (_said(it, "max_length") for it in metadata)
    for length in (*_LENGTHS, *(int(it) for it in said if it is not None)):
        yield from (begins + "a" * (length - len(begins)) for begins in _BEGINNINGS)
        yield "1" * length


def _said(word: Any, name: str) -> float | None:
    """What a word of the metadata, or one within it, says."""
    if isinstance(word, FieldInfo):
        return next((it for own in word.metadata if (it := _said(own, name)) is not None), None)
    found: float | None = getattr(word, name, None)
    return found
