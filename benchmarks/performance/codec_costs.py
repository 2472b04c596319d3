"""What each encoding costs, saves and loses; and below which bandwidth it pays.

One float32 matrix of normal values, 4096 a row; its base, for a Delta, differs by a hundredth of
that, and the base itself is not counted: both sides hold it. Codecs alternate within a run; figures are medians
of runs, CPU seconds of the whole process for a gigabyte (1e9 bytes) of float32. Encoding writes new
memory, decoding too, as both do in a process that publishes or fetches.

An encoding pays where the bytes that it saves take longer to send than it takes to encode and
decode, one after the other: below (1 - share) / (encode + decode) gigabytes a second.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor

from atoll_api.spec.exchange import Encoding
from atoll_worker.exchange.codecs.base import Codec, ErrorBound
from atoll_worker.exchange.codecs.registry import BOUNDS, encoders

COLUMNS = 4096
CHANGE = 0.01
Result = TypeVar("Result")


@dataclass
class Measured:
    """CPU seconds a gigabyte, by run."""

    encode: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    share: float = 1.0
    error: float = 0.0
    """The greatest, in parts of the bound's own measure."""


def cpu_seconds(work: Callable[[], Result]) -> tuple[float, Result]:
    """CPU seconds of this process, and what the work made."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def once(codec: Codec, x_RC: Tensor, base_RC: Tensor, measured: Measured) -> None:
    """Encode and decode, and see what came of it."""
    gigabytes = x_RC.nbytes / 1e9
    seconds, content = cpu_seconds(lambda: codec.encode(x_RC))
    measured.encode.append(seconds / gigabytes)
    flat = content.reshape(-1).view(torch.uint8)
    seconds, back_RC = cpu_seconds(lambda: codec.decode(flat, x_RC.dtype, tuple(x_RC.shape)))
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


def results(measured: dict[Encoding, Measured]) -> list[dict[str, object]]:
    """Every figure, by codec."""
    found = []
    for name, one in measured.items():
        bound = BOUNDS[name]
        met = one.error <= bound.relative
        encode, decode = statistics.median(one.encode), statistics.median(one.decode)
        found += [
            _figure(f"{name} encode", encode, "CPU-s/GB") | {"runs": _rounded(one.encode)},
            _figure(f"{name} decode", decode, "CPU-s/GB") | {"runs": _rounded(one.decode)},
            _figure(f"{name} bytes", one.share, "share of raw"),
            _figure(f"{name} error", max(0.0, one.error), f"of {bound.of}")
            | {"target": bound.relative, "met": met},
        ]
        if one.share < 1:
            pays = 8 * (1 - one.share) / (encode + decode)
            found.append(_figure(f"{name} pays below", pays, "Gbit/s"))
    return found


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 4) for value in values]


def _figure(name: str, value: float, unit: str) -> dict[str, object]:
    return {"name": name, "value": round(value, 5), "unit": unit, "target": None, "met": None}


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="16 MiB instead of 256")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    found = results(measure(5, 1024) if options.quick else measure(7, 16384))
    for one in found:
        met = "" if one["met"] is None else ("  met" if one["met"] else "  MISSED")
        target = "" if one["target"] is None else f"  bound {one['target']:.5f}"
        print(f"{one['name']:24} {one['value']:>10} {one['unit']}{target}{met}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
