"""What lossless compression of weights saves and costs: why no encoding compresses.

Inputs: random normal values; the exclusive or of two versions that differ by a random step of a given
relative size, which is what a lossless delta would send; and, with `--run`, the models of a finished
run (`make demo` makes `runs/digits`). As they are and byte-shuffled: all first bytes of the elements,
then all second bytes, and so on, as HDF5 and Blosc do before they compress.

zlib is in Python. zstandard is measured too where it is installed (`pip install zstandard`); nothing
else here needs it. Both at level 1, the fastest. Figures are medians of runs, in an order that turns,
in CPU seconds of the process for a gigabyte (1e9 bytes) of input.

A compressor pays where the bytes that it saves take longer to send than it takes to compress and
decompress, one after the other: below (1 - share) / (encode + decode) gigabytes a second.
"""

import argparse
import importlib
import json
import os
import statistics
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor

from atoll_cli.hub import artifacts_of

Result = TypeVar("Result")
STEPS = (1e-2, 1e-3, 1e-4)
MODELS = ("experts/", "baseline", "router")


@dataclass(frozen=True)
class Compressor:
    """Two functions and what they are called."""

    name: str
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]


@dataclass
class Measured:
    """CPU seconds a gigabyte, by run."""

    share: float = 1.0
    encode: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)


def compressors() -> list[Compressor]:
    """zlib, and zstd where it is installed."""
    found = [Compressor("zlib-1", lambda it: zlib.compress(it, 1), zlib.decompress)]
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError:
        print("zstandard is not installed: zlib alone is measured\n")
        return found
    out, into = zstandard.ZstdCompressor(level=1), zstandard.ZstdDecompressor()
    return [*found, Compressor("zstd-1", out.compress, into.decompress)]


def inputs(size_bytes: int, run: Path | None) -> Iterator[tuple[str, Tensor]]:
    """What is compressed, by name."""
    generator = torch.Generator().manual_seed(0)
    before_N = torch.randn(size_bytes // 4, generator=generator)
    noise_N = torch.randn(size_bytes // 4, generator=generator)
    yield "random, float32", before_N
    for step in STEPS:
        after_N = before_N * (1 + step * noise_N)
        yield f"change {step:.0e}, float32", _differing_bits(before_N, after_N)
    after_N = before_N * (1 + 1e-3 * noise_N)
    narrow = _differing_bits(before_N.bfloat16(), after_N.bfloat16())
    yield "change 1e-03, bfloat16", narrow
    if run is not None:
        model_N = _models(run)
        yield "models of the run, float32", model_N
        yield "models of the run, bfloat16", model_N.bfloat16()


def _differing_bits(one_N: Tensor, other_N: Tensor) -> Tensor:
    bits = {2: torch.int16, 4: torch.int32}[one_N.itemsize]
    return one_N.view(bits) ^ other_N.view(bits)


def _models(run: Path) -> Tensor:
    """All weights of a run in one vector."""
    with artifacts_of(run) as artifacts:
        refs = [it for it in sorted(artifacts.bindings()) if it.startswith(MODELS)]
        tensors = [it for ref in refs for it in artifacts.fetch(ref).tensors.values()]
    return torch.cat([it.reshape(-1) for it in tensors if it.dtype == torch.float32])


def shuffled(x_N: Tensor) -> bytes:
    """The first bytes of all elements, then the second bytes, and so on."""
    return _bytes(x_N.view(torch.uint8).reshape(-1, x_N.itemsize).T)


def restored(content: bytes, item_bytes: int) -> bytes:
    """The elements again."""
    parts = torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(item_bytes, -1)
    return _bytes(parts.T)


def _bytes(content: Tensor) -> bytes:
    return content.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def cpu_seconds(work: Callable[[], Result]) -> tuple[float, Result]:
    """CPU seconds of this process, and what the work made."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def once(x_N: Tensor, one: Compressor, measured: Measured, *, shuffle: bool) -> None:
    """Compress and decompress, and see what came of it."""
    gigabytes, plain = x_N.nbytes / 1e9, _bytes(x_N)
    encode, packed = cpu_seconds(lambda: one.compress(shuffled(x_N) if shuffle else plain))
    decode, back = cpu_seconds(
        lambda: (
            restored(one.decompress(packed), x_N.itemsize) if shuffle else one.decompress(packed)
        )
    )
    if back != plain:
        raise AssertionError(f"{one.name} changed the content")
    measured.share = len(packed) / len(plain)
    measured.encode.append(encode / gigabytes)
    measured.decode.append(decode / gigabytes)


def measure(runs: int, size_bytes: int, run: Path | None) -> dict[str, Measured]:
    """Everything, interleaved."""
    torch.set_num_threads(1)
    given, ways = list(inputs(size_bytes, run)), compressors()
    arms = [(name, x_N, way, flag) for name, x_N in given for way in ways for flag in (False, True)]
    measured = {_named(name, way, flag): Measured() for name, _, way, flag in arms}
    for number in range(runs):
        for name, x_N, way, flag in arms[number % len(arms) :] + arms[: number % len(arms)]:
            once(x_N, way, measured[_named(name, way, flag)], shuffle=flag)
    return measured


def _named(name: str, way: Compressor, shuffle: bool) -> str:  # noqa: FBT001 - one of two
    return f"{name}, {way.name}{', shuffled' if shuffle else ''}"


def results(measured: dict[str, Measured]) -> list[dict[str, object]]:
    """Every figure."""
    found = []
    for name, one in measured.items():
        encode, decode = statistics.median(one.encode), statistics.median(one.decode)
        pays = max(0.0, 8 * (1 - one.share) / (encode + decode))
        found += [
            _figure(f"{name}: share left", one.share, "of the bytes", []),
            _figure(f"{name}: encode", encode, "CPU-s/GB", one.encode),
            _figure(f"{name}: decode", decode, "CPU-s/GB", one.decode),
            _figure(f"{name}: pays below", pays, "Gbit/s", []),
        ]
    return found


def _figure(name: str, value: float, unit: str, runs: list[float]) -> dict[str, object]:
    said = {"name": name, "value": round(value, 4), "unit": unit, "target": None, "met": None}
    return said | {"runs": [round(it, 4) for it in runs]}


def show(measured: dict[str, Measured]) -> None:
    """One row an arm."""
    print(f"{'input':46}{'share':>7}{'encode':>8}{'decode':>8}{'pays below':>12}")
    for name, one in measured.items():
        encode, decode = statistics.median(one.encode), statistics.median(one.decode)
        pays = max(0.0, 8 * (1 - one.share) / (encode + decode))
        print(f"{name:46}{one.share:7.2f}{encode:8.2f}{decode:8.2f}{pays:7.2f} Gbit/s")


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 runs of 4 MiB, not 5 of 32")
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="a finished run")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    runs, mebibytes = (3, 4) if options.quick else (5, 32)
    measured = measure(runs, mebibytes * 2**20, options.run)
    show(measured)
    if options.json is not None:
        options.json.write_text(json.dumps(results(measured), indent=2) + "\n")


if __name__ == "__main__":
    main()
