"""From the content of an artifact to tensors: memory for what arrives, then what it becomes.

Small raw tensors in a row share memory: to take it, to write to it and to look at it costs a
thousand of them no more than one.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from atoll_api.spec.exchange import Encoding
from atoll_worker.errors import ContractError, CorruptArtifactError
from atoll_worker.exchange.codecs import layout, raw
from atoll_worker.exchange.codecs.base import Codec, DamagedError
from atoll_worker.exchange.codecs.registry import ENCODINGS, decoder
from atoll_worker.exchange.content import Run, digest_of
from atoll_worker.exchange.manifest import Manifest, TensorEntry
from atoll_worker.ports import Artifact, Base

SMALL_BYTES: Final = 64 * 1024
"""A tensor of so many bytes shares memory with its neighbours."""
GROUP_BYTES: Final = 1024 * 1024
"""Of one such memory, which lives as long as one of its tensors."""


@dataclass
class _Group:
    """Raw tensors of one type that follow each other in the content."""

    begin: int
    dtype: str
    size_bytes: int = 0
    entries: list[TensorEntry] = field(default_factory=list)
    memory: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))

    def takes(self, entry: TensorEntry, position: int) -> bool:
        """Whether a tensor that begins at a position of the content may join."""
        follows = position == self.begin + self.size_bytes
        return follows and entry.dtype == self.dtype and self.size_bytes < GROUP_BYTES

    def add(self, entry: TensorEntry) -> None:
        """One more tensor, of one blob."""
        self.entries.append(entry)
        self.size_bytes += entry.blobs[0].size_bytes

    def tensors(self) -> dict[str, Tensor]:
        """The tensors, which are views of the memory."""
        elements = self.memory.view(raw.DTYPES[self.dtype])
        item_bytes = layout.ITEM_BYTES[self.dtype]
        parts = elements.split_with_sizes(
            [entry.blobs[0].size_bytes // item_bytes for entry in self.entries]
        )
        return {
            entry.name: part if len(entry.shape) == 1 else part.view(entry.shape)
            for entry, part in zip(self.entries, parts, strict=True)
        }


class Decoder:
    """Memory for the content of a manifest, and the tensors that it becomes.

    Raises:
        ContractError: a tensor is encoded in a way that this version cannot read, or against a
            base that lacks it.
    """

    def __init__(
        self,
        manifest: Manifest,
        into: Mapping[str, Tensor] | None = None,
        base: Base | None = None,
        *,
        compare: bool = False,
    ) -> None:
        """Take memory.

        Args:
            manifest: What will arrive.
            into: Tensors to overwrite, by name, where one fits: to touch new memory costs more
                than to receive.
            base: What a delta was taken against, as `bases.Bases` finds it.
            compare: Whether tensors of `into` that have the bytes already are left as they are.
        """
        self._manifest = manifest
        self._encoding = _encoding_of(manifest)
        self._base = base
        self._into = into or {}
        self._compare = compare
        self._starts: list[int] = []
        self._segments: list[memoryview] = []
        """Memory for the content from each start on, up to the next."""
        self._groups: list[_Group] = []
        self._own: dict[str, tuple[Tensor, Codec]] = {}
        """Bytes of tensors that share no memory, and what decodes them."""
        self._again: list[tuple[memoryview, int]] = []
        """Memory for blobs that are in the content already, and where."""
        self._equal: set[str] = set()
        """Tensors that have their bytes."""
        self._place()
        self.wanted = self._runs()
        """What has to arrive."""

    def write(self, position: int, content: memoryview) -> None:
        """Put bytes of the content where they belong."""
        index = bisect_right(self._starts, position) - 1
        while content:
            segment, offset = self._segments[index], position - self._starts[index]
            size = min(len(segment) - offset, len(content))
            segment[offset : offset + size] = content[:size]
            content = content[size:]
            position += size
            index += 1

    def finish(self) -> Artifact:
        """The artifact, once all that was wanted is there; the decoder is of no use any more.

        Raises:
            CorruptArtifactError: the bytes are none that this encoding makes.
        """
        for target, position in self._again:
            target[:] = self._view(position, len(target))
        self._again.clear()
        self._segments.clear()
        found: dict[str, Tensor] = {}
        for group in self._groups:
            made = group.tensors()
            found |= made | _overwritten(self._into, group, made)
        self._groups.clear()
        for entry in self._manifest.tensors:
            if entry.name in self._own:  # each is freed as soon as it is decoded
                found[entry.name] = _decode(entry, *self._own.pop(entry.name))
        tensors = {entry.name: found[entry.name] for entry in self._manifest.tensors}
        manifest = self._manifest
        return Artifact(tensors, manifest.metadata, manifest.parents, self._encoding, self._base)

    def _place(self) -> None:
        """Give every tensor its memory, in the order of the content."""
        content = self._manifest.content
        digests = [digest for digest, _ in content.blobs]
        starts = dict(zip(digests, content.starts[:-1], strict=True))
        position = 0
        for entry in self._manifest.tensors:
            alone = entry.blobs[0] if len(entry.blobs) == 1 else None
            if alone and starts[alone.digest] == position and self._joins_group(entry, position):
                position += alone.size_bytes
            else:
                position = self._place_alone(entry, position, starts)
        for group in self._groups:
            group.memory = torch.empty(group.size_bytes, dtype=torch.uint8)
            self._starts.append(group.begin)
            self._segments.append(raw.view(group.memory))
        order = sorted(range(len(self._starts)), key=self._starts.__getitem__)
        self._starts = [self._starts[index] for index in order]
        self._segments = [self._segments[index] for index in order]

    def _place_alone(self, entry: TensorEntry, position: int, starts: Mapping[str, int]) -> int:
        """How far the content is placed with this tensor; blobs that came before come again."""
        memory = raw.view(self._memory_of(entry))
        for digest, size_bytes in entry.blobs:
            target, memory = memory[:size_bytes], memory[size_bytes:]
            if starts[digest] < position:
                self._again.append((target, starts[digest]))
                continue
            self._starts.append(position)
            self._segments.append(target)
            position += size_bytes
        return position

    def _joins_group(self, entry: TensorEntry, position: int) -> bool:
        small = entry.encoding == layout.RAW and entry.blobs[0].size_bytes <= SMALL_BYTES
        if not small or (self._compare and entry.name in self._into):
            return False
        if not (self._groups and self._groups[-1].takes(entry, position)):
            self._groups.append(_Group(position, entry.dtype))
        self._groups[-1].add(entry)
        return True

    def _memory_of(self, entry: TensorEntry) -> Tensor:
        size = layout.encoded_bytes(entry.encoding, entry.dtype, entry.shape)
        reused = _reusable(entry, self._into.get(entry.name))
        if reused is not None and self._compare and _is_equal(entry, reused):
            self._equal.add(entry.name)
        memory = torch.empty(size, dtype=torch.uint8) if reused is None else reused
        self._own[entry.name] = memory, _codec_of(entry, self._base)
        return memory

    def _runs(self) -> list[Run]:
        """The content but for what is there already."""
        content = self._manifest.content
        if not self._equal:
            return content.runs([True] * len(content.blobs))
        there = {
            digest
            for entry in self._manifest.tensors
            if entry.name in self._equal
            for digest, _ in entry.blobs
        }
        if self._again:  # they are copied from the first of their kind, which has to be whole
            there &= self._first_of_equal()
        return content.runs([digest not in there for digest, _ in content.blobs])

    def _first_of_equal(self) -> set[str]:
        """Blobs whose first tensor has its bytes."""
        first: dict[str, bool] = {}
        for entry in self._manifest.tensors:
            for digest, _ in entry.blobs:
                first.setdefault(digest, entry.name in self._equal)
        return {digest for digest, is_equal in first.items() if is_equal}

    def _view(self, position: int, size_bytes: int) -> memoryview:
        index = bisect_right(self._starts, position) - 1
        offset = position - self._starts[index]
        return self._segments[index][offset : offset + size_bytes]


def _reusable(entry: TensorEntry, tensor: Tensor | None) -> Tensor | None:
    """The memory of a tensor as bytes, if the entry's raw bytes can be written there."""
    if tensor is None or entry.encoding != layout.RAW or not tensor.is_contiguous():
        return None
    if not _fits(tensor, raw.DTYPES[entry.dtype], entry.shape) or tensor.device.type != "cpu":
        return None
    return tensor.detach().reshape(-1).view(torch.uint8)


def _overwritten(
    into: Mapping[str, Tensor], group: _Group, made: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors to overwrite that fit, with the values of those of the group."""
    dtype = raw.DTYPES[group.dtype]
    fitting = {}
    for entry in group.entries if into else ():
        tensor = into.get(entry.name)
        if tensor is not None and _fits(tensor, dtype, entry.shape):
            fitting[entry.name] = tensor.detach() if tensor.requires_grad else tensor
    if fitting:
        torch._foreach_copy_([*fitting.values()], [made[name] for name in fitting])
    return fitting


def _fits(tensor: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> bool:
    return tensor.dtype == dtype and tensor.shape == shape


def _is_equal(entry: TensorEntry, memory: Tensor) -> bool:
    content = raw.view(memory)
    for digest, size_bytes in entry.blobs:
        if digest_of(content[:size_bytes]) != digest:
            return False
        content = content[size_bytes:]
    return True


def _encoding_of(manifest: Manifest) -> Encoding:
    used = {tensor.encoding: tensor.name for tensor in manifest.tensors}
    for encoding, name in used.items():
        if encoding not in ENCODINGS:
            raise ContractError(
                f"tensor {name!r} is encoded as {encoding!r}, this version reads "
                f"{', '.join(ENCODINGS)}: update Atoll here, or publish with exchange.encoding Raw"
            )
    return next((ENCODINGS[it] for it in sorted(used) if it != layout.RAW), "Raw")


def _codec_of(entry: TensorEntry, base: Base | None) -> Codec:
    tensor = None if base is None else base.artifact.tensors.get(entry.name)
    codec = decoder(entry.encoding, tensor)
    if codec is None:
        raise ContractError(
            f"tensor {entry.name!r} is a delta, and its base has no such tensor: publish both again"
        )
    return codec


def _decode(entry: TensorEntry, content: Tensor, codec: Codec) -> Tensor:
    try:
        return codec.decode(content, raw.DTYPES[entry.dtype], entry.shape)
    except DamagedError as error:
        raise CorruptArtifactError(
            f"tensor {entry.name!r} cannot be decoded from {entry.encoding}: {error}; "
            "publish it again"
        ) from error
