"""What of a network is interchangeable: declared once, by the network itself.

A network says for each layer which units it reads and which it writes:

    hidden = Units("hidden", 64)
    structure_of(self, [Layer("enter", writes=hidden), Layer("leave", reads=hidden)])

From that and from the modules themselves follows which axis of which tensor moves when units are
permuted, and where their activations can be seen. Permuting the units of a group changes no
output: that is what a declaration promises, and what the tests of each network check.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self, runtime_checkable

from torch import Tensor, nn

from atoll_worker.errors import BadTaskError

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_DENSE = (nn.Linear, *_CONVOLUTIONS)
_NORMS = (*_BATCH_NORMS, nn.LayerNorm, nn.GroupNorm)
_OF_A_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Units:
    """Interchangeable units, and how they lie along the axis that a layer reads or writes.

    Units of equal name are one group: all layers that name it are permuted alike. An axis has
    `copies` x `count` x `width` x `spread` entries, in that order.
    """

    name: str
    count: int
    width: int = 1
    """Entries that belong together and keep their order: the width of an attention head."""
    copies: int = 1
    """How often all units follow one another: 3 where queries, keys and values are one layer."""
    spread: int = 1
    """Entries that one unit became: the pixels of a channel that was flattened."""

    def copied(self, copies: int) -> Self:
        """The same units, several times one after the other."""
        return replace(self, copies=copies)

    def flattened(self, pixels: int) -> Self:
        """The same units, each flattened from so many pixels."""
        return replace(self, spread=pixels)


@dataclass(frozen=True)
class Layer:
    """One module, or one parameter whose last axis holds units, and what it reads and writes.

    A norm writes the units that it is given. An axis that nothing is said of stays as it is.
    """

    name: str
    reads: Units | None = None
    writes: Units | None = None


@dataclass(frozen=True)
class Place:
    """An axis of a tensor that follows a group: `copies` x units x `block` entries."""

    tensor: str
    axis: int
    copies: int = 1
    block: int = 1


@dataclass(frozen=True)
class Reader:
    """A module whose input holds the activations of a group, along `axis`."""

    module: str
    axis: int
    copies: int = 1
    spread: int = 1


@dataclass(frozen=True)
class Group:
    """Units that may change places among themselves, and all that has to follow."""

    name: str
    count: int
    width: int
    clusters: int
    """More than 1 where a GroupNorm is among the layers: whole clusters of `count / clusters`
    units change places, and units inside a cluster."""
    places: tuple[Place, ...]
    readers: tuple[Reader, ...]
    """Norms are among them: before a norm also those units show that are dead behind a ReLU."""
    writers: tuple[str, ...]
    """The linear layers and convolutions that write the units."""


@dataclass(frozen=True)
class Structure:
    """All groups of a network."""

    groups: tuple[Group, ...]


@runtime_checkable
class Structured(Protocol):
    """A network that declares its structure."""

    def structure(self) -> Structure:
        """Its groups, as `structure_of` derives them."""
        ...


def declared_structure(model: nn.Module) -> Structure:
    """The structure that a network declares.

    Raises:
        BadTaskError: it declares none.
    """
    if isinstance(model, Structured):
        return model.structure()
    raise BadTaskError(
        f"{type(model).__name__} cannot be aligned, it does not say which units are "
        "interchangeable: give it a method structure() (see atoll_worker.tasks.structure), or set "
        "align.when: Never"
    )


def structure_of(model: nn.Module, layers: Iterable[Layer]) -> Structure:
    """Derive the groups of a network from what its layers read and write.

    Raises:
        BadTaskError: a layer that does not exist or is of an unknown kind, or whose shape is not
            that of the units it is said to have.
    """
    found: dict[str, list[_Found]] = {}
    for layer in layers:
        for name, item in _derive(model, layer):
            found.setdefault(name, []).append(item)
    return Structure(tuple(_gather(name, items) for name, items in found.items()))


@dataclass(frozen=True)
class _Found:
    """What one layer says of one group."""

    units: Units
    places: tuple[Place, ...] = ()
    reader: Reader | None = None
    writer: str | None = None
    clusters: int = 1


def _derive(model: nn.Module, layer: Layer) -> Iterator[tuple[str, _Found]]:
    kinds: list[tuple[tuple[type, ...], Callable[[str, nn.Module, Layer], list[_Found]]]] = [
        (_DENSE, _dense),
        (_NORMS, _norm),
        ((nn.Embedding,), _embedding),
        ((nn.Identity,), lambda *_: []),
    ]
    module, parameter = _resolve(model, layer.name)
    if parameter is not None:
        found = [_vectors(layer.name, parameter, layer.writes)]
    else:
        derive = next((d for types, d in kinds if isinstance(module, types)), None)
        if derive is None:
            raise BadTaskError(
                f"structure() of {type(model).__name__} names {layer.name!r}, a "
                f"{type(module).__name__}: only linear layers, convolutions, norms, embeddings "
                "and parameters can be declared"
            )
        found = derive(layer.name, module, layer)
    for item in found:
        yield item.units.name, item


def _resolve(model: nn.Module, name: str) -> tuple[nn.Module, Tensor | None]:
    parent, _, last = name.rpartition(".")
    try:
        owner = model.get_submodule(parent)
        parameter = dict(owner.named_parameters(recurse=False)).get(last)
        return (owner, parameter) if parameter is not None else (model.get_submodule(name), None)
    except AttributeError as error:
        raise BadTaskError(
            f"structure() of {type(model).__name__} names {name!r}, which it does not have: "
            "check the name"
        ) from error


def _dense(name: str, module: nn.Module, layer: Layer) -> list[_Found]:
    assert isinstance(module, _DENSE)
    if isinstance(module, _CONVOLUTIONS) and module.groups != 1:
        raise BadTaskError(f"{name} is a grouped convolution, whose channels cannot be declared")
    found = []
    if layer.reads is not None:
        units = layer.reads
        axis = -1 if isinstance(module, nn.Linear) else 1
        reader = Reader(name, axis, units.copies, units.spread)
        place = _place(f"{name}.weight", module.weight, 1, units)
        found.append(_Found(units, (place,), reader))
    if layer.writes is not None:
        units = layer.writes
        places = [_place(f"{name}.weight", module.weight, 0, units)]
        if module.bias is not None:
            places.append(_place(f"{name}.bias", module.bias, 0, units))
        found.append(_Found(units, tuple(places), writer=name))
    return found


def _norm(name: str, module: nn.Module, layer: Layer) -> list[_Found]:
    if layer.writes is None:
        raise BadTaskError(f"structure() must say which units the norm {name} writes")
    tensors = [(kind, getattr(module, kind, None)) for kind in _OF_A_NORM]
    places = tuple(
        _place(f"{name}.{kind}", tensor, 0, layer.writes)
        for kind, tensor in tensors
        if isinstance(tensor, Tensor)
    )
    units = layer.writes
    axis = -1 if isinstance(module, nn.LayerNorm) else 1
    clusters = module.num_groups if isinstance(module, nn.GroupNorm) else 1
    reader = Reader(name, axis, units.copies, units.spread)
    return [_Found(units, places, reader, clusters=clusters)]


def _embedding(name: str, module: nn.Module, layer: Layer) -> list[_Found]:
    assert isinstance(module, nn.Embedding)
    return [_vectors(f"{name}.weight", module.weight, layer.writes)]


def _vectors(name: str, tensor: Tensor, units: Units | None) -> _Found:
    if units is None:
        raise BadTaskError(f"structure() must say which units {name} writes")
    return _Found(units, (_place(name, tensor, tensor.dim() - 1, units),))


def _place(name: str, tensor: Tensor, axis: int, units: Units) -> Place:
    block = units.width * units.spread
    expected = units.copies * units.count * block
    if tensor.shape[axis] != expected:
        raise BadTaskError(
            f"structure() says that axis {axis} of {name} holds {expected} entries of "
            f"{units.name!r}, but it has {tensor.shape[axis]}: correct the declaration"
        )
    return Place(name, axis, units.copies, block)


def _gather(name: str, items: Sequence[_Found]) -> Group:
    first = items[0].units
    for item in items:
        if (item.units.count, item.units.width) != (first.count, first.width):
            raise BadTaskError(
                f"structure() declares the units {name!r} as {first.count} x {first.width} and "
                f"as {item.units.count} x {item.units.width}: give different units different names"
            )
    return Group(
        name=name,
        count=first.count,
        width=first.width,
        clusters=_clusters(name, items),
        places=tuple(place for item in items for place in item.places),
        readers=tuple(item.reader for item in items if item.reader is not None),
        writers=tuple(item.writer for item in items if item.writer is not None),
    )


def _clusters(name: str, items: Sequence[_Found]) -> int:
    """The one number of clusters that all GroupNorms of a group agree on."""
    numbers = {item.clusters for item in items if item.clusters > 1}
    if len(numbers) > 1:
        raise BadTaskError(
            f"the units {name!r} go through GroupNorms of {sorted(numbers)} groups: "
            "give them the same number"
        )
    return math.prod(numbers)
