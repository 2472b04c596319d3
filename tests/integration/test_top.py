"""`atoll top` on a real terminal, and of a real run; the timeline and comparison of that run."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import held_tasks
import pytest
from atoll_runs import ATOLL, PATIENCE_SECONDS, Run, atoll, environment, write_job
from builders import job_document
from held_tasks import HeldDiffusion, Hold
from submitted_jobs import COMPLETE, FAILED, RUNNING

from atoll_api.exit_codes import ExitCode
from atoll_operator.local.folder import RunFolder

WITHOUT_CLUSTER = {"KUBECONFIG": os.devnull + "/none"}
LEAVES_SCREEN = "\x1b[?1049l"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    """The folder of a run that somebody works on."""
    folder = tmp_path / "runs" / "digits"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps(job_document()))
    found = RunFolder.at(folder)
    found.write_status(RUNNING)
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield found


class Terminal:
    """One command on a terminal of 100 by 20, and what it has drawn."""

    def __init__(self, *words: str | Path, cwd: Path) -> None:
        self.person, program = pty.openpty()
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 100, 0, 0))
        self.before = termios.tcgetattr(program)
        self.screen = ""
        self.process = subprocess.Popen(
            [*ATOLL, *map(str, words)],
            stdin=program, stdout=program, stderr=program, cwd=cwd,
            env=environment() | {"TERM": "xterm-256color"} | WITHOUT_CLUSTER,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 (no thread here)
        )  # fmt: skip
        self._program = program

    def until(self, reached: Callable[[str], bool]) -> str:
        """Read until the screen says so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        os.set_blocking(self.person, False)
        while not reached(self.screen):
            assert time.monotonic() < deadline, self.screen
            with suppress(BlockingIOError):
                self.screen += os.read(self.person, 65536).decode(errors="replace")
            time.sleep(0.01)
        return self.screen

    def types(self, keys: bytes) -> None:
        os.write(self.person, keys)

    def ends(self) -> int:
        """The exit code; the terminal is as it was."""
        self.until(lambda _: self.process.poll() is not None)
        with suppress(BlockingIOError):
            self.screen += os.read(self.person, 65536).decode(errors="replace")
        assert termios.tcgetattr(self._program) == self.before
        assert LEAVES_SCREEN in self.screen
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.person)
        os.close(self._program)


@pytest.fixture
def on_terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def start(*words: str | Path) -> Terminal:
        made.append(Terminal(*words, cwd=tmp_path))
        return made[-1]

    yield start
    for it in made:
        it.close()


@pytest.mark.parametrize("keys", [b"q", b"\x03"])
def test_it_is_looked_at_until_the_user_has_seen_enough(
    keys: bytes, run: RunFolder, on_terminal: Callable[..., Terminal]
) -> None:
    shown = on_terminal("top", run.path)
    shown.until(lambda screen: "4/8" in screen)
    shown.types(keys)
    assert shown.ends() == ExitCode.OK
    assert f"It goes on. `atoll top {run.path}`" in shown.screen.replace("\r\n", "")


def test_whoever_ends_it_is_obeyed(run: RunFolder, on_terminal: Callable[..., Terminal]) -> None:
    shown = on_terminal("top", run.path)
    shown.until(lambda screen: "4/8" in screen)
    shown.process.send_signal(signal.SIGTERM)
    assert shown.ends() == ExitCode.TERMINATED


@pytest.mark.parametrize(("last", "said"), [(COMPLETE, "Complete."), (FAILED, "Failed: Islands")])
def test_a_run_that_ends_while_it_is_looked_at(
    last: object, said: str, run: RunFolder, on_terminal: Callable[..., Terminal]
) -> None:
    shown = on_terminal("top", "--every", "0.1")  # the only one
    shown.until(lambda screen: "4/8" in screen)
    run.write_status(last)  # type: ignore[arg-type]
    assert shown.ends() == ExitCode.OK
    assert said in shown.screen


def test_a_run_that_nobody_goes_on_with(
    tmp_path: Path, on_terminal: Callable[..., Terminal]
) -> None:
    (tmp_path / "job.json").write_text(json.dumps(job_document()))
    RunFolder.at(tmp_path).write_status(RUNNING)
    shown = on_terminal("top", tmp_path)
    assert shown.ends() == ExitCode.OK
    assert "Nobody works on this run" in shown.screen


def test_off_a_terminal_it_is_printed_once(run: RunFolder, tmp_path: Path) -> None:
    without = environment() | WITHOUT_CLUSTER
    said = atoll("top", cwd=tmp_path, env=without)
    assert said.returncode == ExitCode.OK, said.stderr
    assert "\x1b" not in said.stdout
    *rows, rest = said.stdout.splitlines()[3:]
    assert {line.split()[0] for line in rows} == {"island-0", "router"}
    assert rest == "… and 3 more: 3 not listed"
    elsewhere = atoll("top", cwd=run.path, env=without)
    assert elsewhere.returncode == ExitCode.FAILED
    assert "no run in runs/ is going" in elsewhere.stderr
    nothing = atoll("top", tmp_path, env=without)
    assert nothing.returncode == ExitCode.FAILED
    assert "not the folder of a run" in nothing.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_real_run_is_seen_while_it_goes_and_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "digits"
    folder.parent.mkdir()
    hold = Hold(tmp_path, "island-1", 200)
    job = write_job(tmp_path, task=held_tasks.spec(HeldDiffusion, tmp_path))
    run = Run.start(job, folder)
    run.wait_for(hold.reached)
    run.wait_for(_trains("island-1"))  # or its first attempt is not in the timeline
    seen = atoll("top", cwd=tmp_path, env=environment() | WITHOUT_CLUSTER)
    assert seen.returncode == ExitCode.OK, seen.stderr
    rows = {line.split()[0]: line for line in seen.stdout.splitlines() if line.split()}
    assert {"partition", "island-0", "island-1", "router", "evaluate"} <= rows.keys()
    run.kill_child("island-1")
    hold.release()
    code, output = run.finish()
    assert code == ExitCode.OK, output
    _check_timeline(folder, output)
    _check_comparison(folder, tmp_path)


def _trains(step: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda status: any(
        it["name"] == step and it["state"] == "Running" for it in status.get("islands", ())
    )


def _check_timeline(folder: Path, output: str) -> None:
    (row,) = (line for line in output.splitlines() if "1 restart" in line and "island-1" in line)
    assert "█" in row
    status = json.loads((folder / "status.json").read_text())
    (island,) = (it for it in status["islands"] if it["island"] == 1)
    states = [it["state"] for it in island["history"]]
    assert states.count("Running") == 2
    assert states[-1] == "Succeeded"
    times = [it["since"] for it in island["history"]]
    assert times == sorted(times)
    page = (folder / "report.html").read_text()
    assert page.count("<h2>Timeline</h2>") == 1
    assert 'title="another attempt"' in page


def _check_comparison(folder: Path, tmp_path: Path) -> None:
    """A run beside itself: nothing differs."""
    said = atoll("report", folder, folder, "-o", tmp_path / "both")
    assert said.returncode == ExitCode.OK, said.stderr
    found = json.loads((tmp_path / "both" / "comparison.json").read_text())
    assert found["configuration"] == []
    assert {it["relation"] for it in found["artifacts"]} == {"Equal"}
    assert {it["difference"] for it in found["metrics"]} == {0.0}
    names = {it["ref"] for it in found["artifacts"]}
    assert {"experts/0", "router", "report", "assignment"} <= names
