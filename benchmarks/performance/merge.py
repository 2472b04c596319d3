"""Merging files: `atoll merge` beside mergekit, the same four models, turn by turn.

Four models (TIES: and a base) of 0.67 B parameters in bfloat16, normal numbers, in a temporary
folder: 6.7 GB, and 1.3 GB for each output; they are read once before, so that the page cache holds
them. What is timed is the whole command, from its start to its end, as a user waits for it; beside it
stands what a command takes that only prints its help. Before each run all that waits for the disk is
written. `atoll merge` syncs its output and digests all that it reads and writes; mergekit does not.

Memory is the largest RssAnon of the process, as the kernel tells every 10 ms: what is allocated or
changed, without files that are mapped. Figures are medians of interleaved runs.

mergekit computes in the type of its recipe: in bfloat16, as recipes for such models mostly say, and,
for TIES, in float32 too, as Atoll does. Both write bfloat16.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import exchange_peers
import merge_mergekit
import merge_models
from costs import memory_bytes
from figures import Figure, Target, median, parser, say, tell, worst

DENSITY: Final = 0.5
MIB: Final = 2**20
FREE_BYTES: Final = 12 * 10**9
_SAMPLE_SECONDS: Final = 0.01


@dataclass(frozen=True)
class Case:
    """What is compared."""

    name: str
    method: str
    dtype: str
    """In which mergekit computes; Atoll does in float32. Both write bfloat16."""
    speed: Target | None
    memory: Target


CASES: Final = (
    Case("mean", "mean", "bfloat16", Target(3, at_least=True), Target(250)),
    Case("ties", "ties", "bfloat16", Target(10, at_least=True), Target(1024)),
    Case("ties, both in float32", "ties", "float32", None, Target(1024)),
)


@dataclass(frozen=True)
class Took:
    """What a command took."""

    seconds: float
    cpu_seconds: float
    anonymous_bytes: int


@dataclass(frozen=True)
class Bench:
    """Where the models are, and how both programs are called."""

    folder: Path
    models: list[Path]
    base: Path
    mergekit: Path
    times: dict[str, list[Took]] = field(default_factory=lambda: defaultdict(list))

    def ours(self, case: Case) -> Path:
        """One merge by Atoll; its output."""
        output = self.folder / "ours.safetensors"
        command = [sys.executable, "-m", "atoll_cli", "merge", *map(str, self.models)]
        command += ["-o", str(output), "--method", case.method]
        if case.method == "ties":
            command += ["--base", str(self.base), "--density", str(DENSITY)]
        output.unlink(missing_ok=True)
        self.times[f"{case.name}: Atoll"].append(timed(command, dict(os.environ)))
        return output

    def theirs(self, case: Case) -> Path:
        """One merge by mergekit; its output."""
        output = self.folder / "theirs"
        recipe = self.folder / "recipe.yaml"
        merged = merge_mergekit.Merge(case.method, case.dtype, DENSITY)
        recipe.write_text(merge_mergekit.recipe(merged, self.models, self.base))
        shutil.rmtree(output, ignore_errors=True)
        command = [str(self.mergekit), "--quiet", str(recipe), str(output)]
        self.times[f"{case.name}: mergekit"].append(timed(command, merge_mergekit.variables()))
        return output / "model.safetensors"

    def starts(self) -> None:
        """Both programs, with nothing to do."""
        ours = [sys.executable, "-m", "atoll_cli", "merge", "--help"]
        self.times["start: Atoll"].append(timed(ours, dict(os.environ)))
        theirs = [str(self.mergekit), "--help"]
        self.times["start: mergekit"].append(timed(theirs, merge_mergekit.variables()))

    def seconds(self, name: str) -> list[float]:
        """Of each run."""
        return [took.seconds for took in self.times[name]]


def timed(command: Sequence[str], environment: dict[str, str]) -> Took:
    """Run a command to its end."""
    os.sync()
    cpu, began = _children_cpu_seconds(), time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            peak = _peak_until_end(process)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            log.seek(0)
            raise SystemExit(f"{command[0]} failed:\n{log.read()[-2000:].decode(errors='replace')}")
    return Took(time.perf_counter() - began, _children_cpu_seconds() - cpu, peak)


def _children_cpu_seconds() -> float:
    """Of all that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peak_until_end(process: subprocess.Popen[bytes]) -> int:
    """The largest RssAnon of a process."""
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, memory_bytes("RssAnon", process.pid))
        except (OSError, StopIteration):
            continue  # it has just ended, or not begun
        time.sleep(_SAMPLE_SECONDS)
    return peak


def prepare(folder: Path, peers_folder: Path, *, quick: bool) -> Bench:
    """Write the models."""
    if shutil.disk_usage(folder).free < FREE_BYTES:
        raise SystemExit(f"{folder} has less than {FREE_BYTES / 1e9:.0f} GB free: set TMPDIR")
    wanted = merge_models.forms(2, 512, 8192) if quick else merge_models.forms(28, 1024, 151_936)
    paths = [folder / f"model-{i}.safetensors" for i in range(5)]
    for seed, path in enumerate(paths):
        merge_models.write(path, wanted, seed)
    parameters = sum(form.count for form in wanted.values())
    say(f"five models of {parameters / 1e9:.2f} B parameters are written")
    return Bench(folder, paths[:4], paths[4], merge_mergekit.program(peers_folder))


def play(bench: Bench, case: Case, runs: int) -> float:
    """Turns of both; how far the results are apart."""
    for run in range(runs):
        ours = bench.ours(case)
        theirs = bench.theirs(case)
        last = [bench.seconds(f"{case.name}: {name}")[-1] for name in ("Atoll", "mergekit")]
        say(f"{case.name} {run + 1} of {runs}: Atoll {last[0]:.1f} s, mergekit {last[1]:.1f} s")
    return merge_models.difference(ours, theirs)


def results(bench: Bench, case: Case, apart: float, *, full: bool) -> list[Figure]:
    """The figures of a case; targets are for models of full size."""
    ours, theirs = (bench.seconds(f"{case.name}: {name}") for name in ("Atoll", "mergekit"))
    starts = [statistics.median(bench.seconds(f"start: {name}")) for name in ("Atoll", "mergekit")]
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    speed, memory = (case.speed, case.memory) if full else (None, None)
    bare = [(b - starts[1]) / (a - starts[0]) for a, b in zip(ours, theirs, strict=True)]
    found = [
        median(f"{case.name}: Atoll", ours, "s"),
        median(f"{case.name}: mergekit", theirs, "s"),
        median(f"{case.name}: times faster", ratios, "x", speed),
        median(f"{case.name}: times faster, both without their start", bare, "x", speed),
    ]
    for name, target in (("Atoll", memory), ("mergekit", None)):
        cpu = [it.cpu_seconds for it in bench.times[f"{case.name}: {name}"]]
        found.append(median(f"{case.name}: {name}: CPU", cpu, "CPU-s"))
        sizes = [it.anonymous_bytes / MIB for it in bench.times[f"{case.name}: {name}"]]
        found.append(worst(f"{case.name}: {name}: anonymous memory, worst", sizes, "MiB", target))
    return [*found, Figure(f"{case.name}: relative difference of the results", apart, "RMS")]


def measure(bench: Bench, runs: Sequence[int], *, full: bool) -> list[Figure]:
    """Each case so many times."""
    for path in (*bench.models, bench.base):
        path.read_bytes()
    for _ in range(max(runs)):
        bench.starts()
    found = [median(name, bench.seconds(name), "s") for name in sorted(bench.times)]
    for case, count in zip(CASES, runs, strict=True):
        found += results(bench, case, play(bench, case, count), full=full)
    return found


def options() -> argparse.Namespace:
    """What the user asked for."""
    asked = parser(__doc__, "models of 0.01 B parameters, one run each, no targets")
    add = asked.add_argument
    add("--runs", type=int, default=5, metavar="N", help="of the mean (default: %(default)s)")
    add("--ties-runs", type=int, default=2, metavar="N", help="of each TIES (default: %(default)s)")
    add(
        "--peers-folder",
        type=Path,
        metavar="FOLDER",
        default=exchange_peers.default_folder(),
        help="where mergekit's environment is made and kept (default: %(default)s)",
    )
    return asked.parse_args()


def main() -> None:
    """Measure, print, and write JSON where asked."""
    chosen = options()
    runs = [1] * len(CASES) if chosen.quick else [chosen.runs, chosen.ties_runs, chosen.ties_runs]
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        bench = prepare(Path(folder), chosen.peers_folder, quick=chosen.quick)
        found = measure(bench, runs, full=not chosen.quick)
    print(f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after", end=", ")
    print(f"{os.cpu_count()} cores, mergekit {merge_mergekit.VERSION}")
    tell(found, chosen.json)


if __name__ == "__main__":
    main()
