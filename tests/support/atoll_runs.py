"""Run the real command as a person would: a process, its signals, its folder."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import job_document

from atoll_api.exit_codes import ExitCode

ATOLL = (sys.executable, "-m", "atoll_cli")
PATIENCE_SECONDS = 240.0

TINY = {
    "islands.count": 2,
    "training.steps": 300,
    "training.checkpoint.everySeconds": 1,
    "strategy.expertEnsemble.router.learned.steps": 50,
    "evaluation": {"samples": 64, "seeds": 1, "samplerSteps": 4, "strategies": ["Full"]},
}


def write_job(folder: Path, **spec: Any) -> Path:
    """A job of a few seconds, with fields of its spec replaced, as a YAML file."""
    path = folder / "job.yaml"
    path.write_text(json.dumps(job_document(**(TINY | spec))))  # JSON is YAML
    return path


def environment() -> dict[str, str]:
    """Of every command: its workers find the tasks that tests bring along."""
    path = (os.environ.get("PYTHONPATH"), str(Path(__file__).parent))
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))}


def atoll(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `atoll` to its end."""
    fixed: dict[str, Any] = {"capture_output": True, "text": True, "timeout": PATIENCE_SECONDS}
    command = [*ATOLL, *map(str, arguments)]
    return subprocess.run(command, check=False, **({"env": environment()} | options | fixed))


def run_to_end(folder: Path, **spec: Any) -> Path:
    """Run such a job in a folder, to an end that is good; where the run lies."""
    result = atoll("run", write_job(folder, **spec), "--out", folder / "out")
    assert result.returncode == ExitCode.OK, result.stderr + result.stdout
    return folder / "out"


@dataclass
class Run:
    """One `atoll run` that is going on."""

    process: "subprocess.Popen[str]"
    folder: Path

    @classmethod
    def start(cls, job: Path, folder: Path, prefix: Sequence[str] = ()) -> "Run":
        """Start it, behind a command that becomes it; its output is kept for `finish`."""
        command = [*prefix, *ATOLL, "run", str(job), "--out", str(folder)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, text=True, env=environment(), **pipes)  # type: ignore[call-overload]
        return cls(process, folder)

    def status(self) -> Mapping[str, Any]:
        """The status written last; empty before the first."""
        with suppress(FileNotFoundError):
            document: dict[str, Any] = json.loads((self.folder / "status.json").read_text())
            return document
        return {}

    def wait_for(self, reached: Callable[[Mapping[str, Any]], bool]) -> None:
        """Wait until the status says so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not reached(self.status()):
            assert self.process.poll() is None, self.finish()
            assert time.monotonic() < deadline, self.status()
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Send the run itself a signal."""
        self.process.send_signal(number)

    def kill_child(self, step: str) -> None:
        """SIGKILL the process of one step, once there is one."""
        self.tell_child(step, signal.SIGKILL)

    def tell_child(self, step: str, number: int) -> None:
        """Send it a signal, once it is there: steps are started one after another."""
        self.wait_for(lambda _: bool(children_of(self.folder, step)))
        for pid in children_of(self.folder, step):
            os.kill(pid, number)

    def finish(self) -> tuple[int, str]:
        """Wait for the end: exit code and output."""
        output, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, output


def children_of(folder: Path, step: str = "") -> list[int]:
    """The processes that work on the orders of a run's folder."""
    wanted = str(folder / "orders" / step)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
                # A worker that was made by a fork has its arguments in one string.
                if any(it.startswith(wanted) for it in re.split("[\0 ]", command)):
                    found.append(int(entry.name))
    return found


def digests(folder: Path) -> dict[str, str]:
    """Every bound ref of a run and its digest."""
    listed = atoll("pull", folder)
    assert listed.returncode == 0, listed.stderr
    rows = [line.split() for line in listed.stdout.splitlines()]
    return {ref: digest for ref, _, digest in rows}
