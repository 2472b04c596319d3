"""What a benchmark said when it was run last: kept as JSON beside the benchmarks. No measuring."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "benchmarks" / "results"
_GIB: Final = 2**30


@dataclass(frozen=True)
class Figure:
    """One number, as the benchmarks write it."""

    name: str
    value: float
    unit: str
    target: float | str | None
    met: bool | None
    runs: tuple[float, ...] = ()

    @classmethod
    def read(cls, document: dict[str, Any]) -> Self:
        """From JSON."""
        return cls(**{**document, "runs": tuple(document.get("runs") or ())})

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest run."""
        runs = self.runs or (self.value,)
        return min(runs), max(runs)


@dataclass(frozen=True)
class Result:
    """One run of one benchmark."""

    command: str
    date: str
    machine: str
    figures: tuple[Figure, ...]

    @classmethod
    def load(cls, name: str, folder: Path = FOLDER) -> Self | None:
        """The one that is kept; None if none is."""
        path = folder / f"{name}.json"
        if not path.exists():
            return None
        document = json.loads(path.read_text())
        figures = tuple(Figure.read(it) for it in document.pop("figures"))
        return cls(**document, figures=figures)

    def save(self, name: str, folder: Path = FOLDER) -> Path:
        """Keep it in place of the one before; where."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.json"
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")
        return path


def figures_of(content: str) -> tuple[Figure, ...]:
    """What a benchmark wrote to its `--json FILE`."""
    found: Sequence[dict[str, Any]] = json.loads(content)
    return tuple(Figure.read(it) for it in found)


def machine() -> str:
    """What this machine is: of its kind, not its name."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (
        f"{os.cpu_count()} cores of {_processor()}, {memory_bytes / _GIB:.0f} GiB, "
        f"{platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, torch {version('torch').split('+')[0]}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
