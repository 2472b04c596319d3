"""Merge models on the disk, tensor by tensor and piece by piece.

Memory is a few pieces a thread, however large the models are. Tensors are merged side by side, but
each of its pieces in order, so that the bytes do not depend on the number of threads.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from blake3 import blake3

from atoll_worker.errors import BadDataError, ContractError
from atoll_worker.merge.pieces import Method, Numbers, Whole
from atoll_worker.merge.weights import check_weights
from atoll_worker.model_files import agreement, contents, floats
from atoll_worker.model_files.companions import companions
from atoll_worker.model_files.floats import FLOATS, Bytes
from atoll_worker.model_files.header import Form
from atoll_worker.model_files.reading import Reader
from atoll_worker.model_files.recipe import DTYPES, Recipe
from atoll_worker.model_files.source import Model, Stored, opened
from atoll_worker.model_files.writing import Target, Writer, check_output, written

if TYPE_CHECKING:  # not at run time: it loads torch
    from atoll_worker.model_files.aligned import StandIn

_MAX_THREADS: Final = 4
"""More would wait for the disk."""
_LEARNT_BYTES: Final = 31 * 2**20
"""Just below what glibc is willing to learn."""
Progress = Callable[[int, int], None]
"""Told how many bytes of how many are merged; called from several threads, one at a time."""


@dataclass(frozen=True)
class Request:
    """A merge of files."""

    recipe: Recipe
    output: Path
    max_shard_bytes: int = 5 * 10**9
    dtype: str | None = None
    """One of `DTYPES`; that of the first model if None."""
    force: bool = False
    """Replace an output that is there."""
    allow_nonfinite: bool = False
    """Merge NaN and infinite numbers as they are."""
    stand_ins: "Mapping[Path, StandIn]" = field(default_factory=dict)
    """What is read in place of a model: see `aligned.stand_ins`."""
    threads: int | None = None
    """How many tensors are merged side by side; one a core, up to 4, if None."""

    def read(self, path: Path) -> Path:
        """Where a model is read."""
        return self.stand_ins[path].path if path in self.stand_ins else path

    def named(self, digests: Sequence[str]) -> list[str]:
        """The digests of the models themselves, from those of what was read."""
        pairs = zip(self.recipe.sources, digests, strict=True)
        return [self.stand_ins[it].digest if it in self.stand_ins else own for it, own in pairs]


@dataclass(frozen=True)
class Merged:
    """What was written."""

    path: Path
    digest: str
    """See `contents.digest_of`."""
    size_bytes: int
    tensors: int


def merge_files(request: Request, progress: Progress) -> Merged:
    """Merge, and write the result whole or not at all.

    Raises:
        BadDataError: a file is missing, damaged or not finite; an option is wrong.
        ContractError: the models do not belong together, or the result has no room in its type.
        InUseError: the output exists, or is read from.
        NoSpaceError: the disk is full.
    """
    recipe = request.recipe
    options = recipe.options()
    check_weights(options.weights, len(recipe.models))
    method = recipe.entry.make(options)
    if recipe.entry.aligns and not request.stand_ins:
        raise BadDataError(
            f"{recipe.method} has to ask the network: name the job that the models were trained by "
            "with --task JOB.yaml"
        )
    with ExitStack() as stack:
        models = [stack.enter_context(opened(request.read(path))) for path in recipe.sources]
        place = len(models) - len(recipe.models)  # of the first, after a base
        first = models[place]
        agreement.check([first, *models[:place], *models[place + 1 :]])
        target = _target(request, first)
        inputs = {stored.file for model in models for stored in model.tensors.values()}
        check_output(target, [*recipe.sources, *sorted(inputs)], force=request.force)
        with written(target) as writer:
            work = _Work(models, place, method, target, writer, _Said(progress, target.size_bytes))
            digests = work.run(request)
            writer.finish(_metadata(recipe, request.named(digests.sources)))
            if target.is_folder and first.folder:
                for name, content in companions(first.folder, request.dtype).items():
                    writer.add(name, content)
    return Merged(request.output, digests.output, writer.size_bytes, len(target.forms))


def _target(request: Request, first: Model) -> Target:
    forms = {name: _converted(it.form, request.dtype) for name, it in first.tensors.items()}
    unknown = [contents.UNKNOWN] * len(request.recipe.sources)
    metadata = _metadata(request.recipe, unknown)
    return Target(request.output, forms, request.max_shard_bytes, metadata)


def _converted(form: Form, dtype: str | None) -> Form:
    return Form(DTYPES[dtype], form.shape) if dtype and form.dtype in FLOATS else form


def _metadata(recipe: Recipe, digests: Sequence[str]) -> dict[str, str]:
    return {"format": "pt", "atoll.merge": recipe.document(digests)}


class _Digests(NamedTuple):
    sources: list[str]
    output: str


class _StoppedError(Exception):
    """Another tensor failed; nobody sees this."""


class _Said:
    """Adds up what is done, for a `Progress`."""

    def __init__(self, progress: Progress, total_bytes: int) -> None:
        self._progress = progress
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._lock = threading.Lock()

    def add(self, size_bytes: int) -> None:
        with self._lock:
            self._done_bytes += size_bytes
            self._progress(self._done_bytes, self._total_bytes)


@dataclass(frozen=True)
class _Work:
    """A merge that is going on."""

    models: Sequence[Model]
    """All that is read; the base first, if there is one."""
    first: int
    """Which of them is the first model: its types are those of the output."""
    method: Method
    target: Target
    writer: Writer
    said: _Said
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, request: Request) -> _Digests:
        """Merge all tensors, the largest first; the digests of what was read and written."""
        _keep_freed_memory()
        names = sorted(self.target.forms, key=lambda it: -self.target.forms[it].size_bytes)
        with ThreadPoolExecutor(request.threads or _threads()) as pool:
            futures = {
                pool.submit(self._merge, name, finite=not request.allow_nonfinite): name
                for name in names
            }
            try:
                found = {futures[it]: it.result() for it in as_completed(futures)}
            except BaseException:
                self.stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return self._digests(found)

    def _merge(self, name: str, *, finite: bool) -> list[str]:
        """One tensor; the hex digests of its bytes in each model, and in the output."""
        sources = [model.tensors[name] for model in self.models]
        working = floats.working_dtype(sources[self.first].form.dtype)
        reader = Reader(sources, working)
        merge = self._merging(name, sources, reader, finite=finite)
        hashers = [blake3() for _ in (*sources, name)]
        offset_bytes = 0
        for raw in reader.raw():
            if self.stop.is_set():
                raise _StoppedError
            out = merge(raw)
            self.writer.write(name, offset_bytes, out.data)
            for hasher, content in zip(hashers, (*raw, out), strict=True):
                hasher.update(content.data)
            offset_bytes += out.nbytes
            self.said.add(out.nbytes)
        return [hasher.hexdigest() for hasher in hashers]

    def _merging(
        self, name: str, sources: Sequence[Stored], reader: Reader, *, finite: bool
    ) -> Callable[[Sequence[Bytes]], Bytes]:
        """What makes the bytes of each model to bytes of the output."""
        form = self.target.forms[name]
        if form.dtype not in FLOATS:
            return lambda raw: raw[self.first]
        working = reader.working
        with np.errstate(all="ignore"):  # see below
            rule = self.method.rule(Whole(name, form.count, working, reader.pieces))

        def merged(raw: Sequence[Bytes]) -> Bytes:
            piece = reader.numbers(raw)
            if finite:
                _check_finite(piece, sources, name)
            with np.errstate(all="ignore"):  # what is not finite is looked for
                out = floats.raw(rule(piece), form.dtype)
            if finite and not floats.is_finite(floats.numbers(out, form.dtype, working)):
                raise ContractError(
                    f"tensor {name!r} of the merged model is too large for {form.dtype}: "
                    "give --dtype float32"
                )
            return out

        return merged

    def _digests(self, found: dict[str, list[str]]) -> _Digests:
        sources = [
            contents.digest_of(
                {name: (model.tensors[name].form, hexes[i]) for name, hexes in found.items()}
            )
            for i, model in enumerate(self.models)
        ]
        output = {name: (self.target.forms[name], hexes[-1]) for name, hexes in found.items()}
        return _Digests(sources, contents.digest_of(output))


def _keep_freed_memory() -> None:
    """Let glibc keep what pieces free: it learns from what is freed first how large to be.

    Otherwise it may give every piece back to the system, and touching new pages for the next one
    takes longer than merging it.
    """
    np.empty(_LEARNT_BYTES, np.uint8)


def _threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, _MAX_THREADS)


def _check_finite(piece: Sequence[Numbers], sources: Sequence[Stored], name: str) -> None:
    for tensor_N, source in zip(piece, sources, strict=True):
        if not floats.is_finite(tensor_N):
            raise BadDataError(
                f"{source.file}: tensor {name!r} holds NaN or infinite numbers: leave that model "
                "out, or merge them as they are with --allow-nonfinite"
            )
