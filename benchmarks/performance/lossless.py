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

import importlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from costs import cpu_of, pays_below
from figures import Figure, median, parser, write
from torch import Tensor

from atoll_cli.hub import artifacts_of

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


def once(x_N: Tensor, one: Compressor, measured: Measured, *, shuffle: bool) -> None:
    """Compress and decompress, and see what came of it."""
    gigabytes, plain = x_N.nbytes / 1e9, _bytes(x_N)
    encode, packed = cpu_of(lambda: one.compress(shuffled(x_N) if shuffle else plain))
    decode, back = cpu_of(
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


def results(measured: dict[str, Measured]) -> list[Figure]:
    """Every figure, four an arm."""
    found = []
    for name, one in measured.items():
        encode = median(f"{name}: encode", one.encode, "CPU-s/GB")
        decode = median(f"{name}: decode", one.decode, "CPU-s/GB")
        pays = pays_below(one.share, encode.value, decode.value)
        share = Figure(f"{name}: share left", one.share, "of the bytes")
        found += [share, encode, decode, Figure(f"{name}: pays below", pays, "Gbit/s")]
    return found


def table(names: Iterable[str], figures: list[Figure]) -> None:
    """One row an arm."""
    print(f"{'input':46}{'share':>7}{'encode':>8}{'decode':>8}{'pays below':>12}")
    for row, name in enumerate(names):
        share, encode, decode, pays = (it.value for it in figures[4 * row : 4 * row + 4])
        print(f"{name:46}{share:7.2f}{encode:8.2f}{decode:8.2f}{pays:7.2f} Gbit/s")


def main() -> None:
    """Measure, print, and write JSON where asked."""
    asked = parser(__doc__, "3 runs of 4 MiB, not 5 of 32")
    asked.add_argument("--run", type=Path, metavar="FOLDER", help="a finished run")
    options = asked.parse_args()
    runs, mebibytes = (3, 4) if options.quick else (5, 32)
    measured = measure(runs, mebibytes * 2**20, options.run)
    found = results(measured)
    table(measured, found)
    write(found, options.json)


if __name__ == "__main__":
    main()
