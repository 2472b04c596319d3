"""What each encoding costs, saves and loses; and below which bandwidth it pays.

One float32 matrix of normal values, 4096 a row; its base, for a Delta, differs by a hundredth of
that, and the base itself is not counted: both sides hold it. Codecs alternate within a run; figures are medians
of runs, CPU seconds of the whole process for a gigabyte (1e9 bytes) of float32. Encoding writes new
memory, decoding too, as both do in a process that publishes or fetches.

An encoding pays where the bytes that it saves take longer to send than it takes to encode and
decode, one after the other: below (1 - share) / (encode + decode) gigabytes a second.
"""

import os
from dataclasses import dataclass, field

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from costs import cpu_of, pays_below
from figures import Figure, Target, median, parser, tell
from torch import Tensor

from atoll_api.spec.exchange import Encoding
from atoll_worker.exchange.codecs.base import Codec, ErrorBound
from atoll_worker.exchange.codecs.registry import BOUNDS, encoders

COLUMNS = 4096
CHANGE = 0.01


@dataclass
class Measured:
    """CPU seconds a gigabyte, by run."""

    encode: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    share: float = 1.0
    error: float = 0.0
    """The greatest, in parts of the bound's own measure."""


def once(codec: Codec, x_RC: Tensor, base_RC: Tensor, measured: Measured) -> None:
    """Encode and decode, and see what came of it."""
    gigabytes = x_RC.nbytes / 1e9
    seconds, content = cpu_of(lambda: codec.encode(x_RC))
    measured.encode.append(seconds / gigabytes)
    flat = content.reshape(-1).view(torch.uint8)
    seconds, back_RC = cpu_of(lambda: codec.decode(flat, x_RC.dtype, tuple(x_RC.shape)))
    measured.decode.append(seconds / gigabytes)
    measured.share = flat.nbytes / x_RC.nbytes
    bound = codec.bound
    beyond_RC = (back_RC - x_RC).abs() - bound.absolute - bound.of_base * _greatest(base_RC)
    measure_RC = _measure(bound, x_RC, base_RC)
    measured.error = max(measured.error, float((beyond_RC / measure_RC).amax()))


def _measure(bound: ErrorBound, x_RC: Tensor, base_RC: Tensor) -> Tensor:
    match bound.of:
        case "Value":
            return x_RC.abs()
        case "RowMaximum":
            return _greatest(x_RC)
        case "RowChange":
            return _greatest(x_RC - base_RC)


def _greatest(x_RC: Tensor) -> Tensor:
    return x_RC.abs().amax(dim=1, keepdim=True)


def measure(runs: int, rows: int) -> dict[Encoding, Measured]:
    """All codecs, interleaved."""
    torch.set_num_threads(1)
    measured = {name: Measured() for name in BOUNDS}
    for run in range(runs):
        generator = torch.Generator().manual_seed(run)
        x_RC = torch.randn(rows, COLUMNS, generator=generator)
        base_RC = torch.randn(rows, COLUMNS, generator=generator).mul_(CHANGE).add_(x_RC)
        for name in BOUNDS:
            once(encoders(name, base_RC)[0], x_RC, base_RC, measured[name])
    return measured


def results(measured: dict[Encoding, Measured]) -> list[Figure]:
    """Every figure, by codec."""
    found = []
    for name, one in measured.items():
        bound = BOUNDS[name]
        found += [
            median(f"{name} encode", one.encode, "CPU-s/GB"),
            median(f"{name} decode", one.decode, "CPU-s/GB"),
            Figure(f"{name} bytes", one.share, "share of raw"),
            Figure(f"{name} error", max(0.0, one.error), f"of {bound.of}", Target(bound.relative)),
        ]
        if one.share < 1:
            pays = pays_below(one.share, found[-4].value, found[-3].value)
            found.append(Figure(f"{name} pays below", pays, "Gbit/s"))
    return found


def main() -> None:
    """Measure, print, and write JSON where asked."""
    options = parser(__doc__, "16 MiB instead of 256").parse_args()
    found = results(measure(5, 1024) if options.quick else measure(7, 16384))
    tell(found, options.json)


if __name__ == "__main__":
    main()
