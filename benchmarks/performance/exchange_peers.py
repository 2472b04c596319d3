"""Other frameworks beside Atoll: an environment for each, its processes, and rounds on request.

A peer's packages conflict with ours, so each has a virtual environment of its own, made once and
kept. Its processes are under `exchange_keeper.py`, which ends them whatever happens here. The app
that runs inside of the peer dials a socket of this process and plays a round each time it is told
to: so rounds of the peer and of Atoll alternate, and idle peers only wait.
"""

import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commands import Answer, Commanded

ROUND_SECONDS: Final = 600.0
"""A round that takes longer is a failure."""
AWAKE_SECONDS: Final = 1.0
"""Until what fell due while a peer was stopped is done."""
_LOG_CHARACTERS: Final = 2000


def default_folder() -> Path:
    """Where the environments of peers are kept unless the user says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "atoll" / "peers"


def environment(folder: Path, name: str, requirements: Sequence[str]) -> Path:
    """The bin folder of a virtual environment with these packages; made if it is not there.

    Compiled, as Atoll's own is: a peer that compiles itself at each start, because whoever measures
    has told Python to write no bytecode, would be slow for no reason of its own.
    """
    text = "\n".join([sys.version, "compiled", *requirements])
    home = folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    done = home / "complete"
    if not done.exists():
        print(f"making an environment for {name} in {home}", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        python = str(home / "bin" / "python")
        _run([_uv(), "venv", "--quiet", "--python", sys.executable, str(home)])
        install = [_uv(), "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
        _run([*install, *requirements])
        done.touch()
    return home / "bin"


def free_port() -> int:
    """A port that the system just had free, for programs that cannot ask it themselves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise SystemExit("no uv beside this python nor on the PATH: run make bootstrap")
    return found


def _run(command: Sequence[str]) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed, see above: leave this peer out, or mend it")


class Kept:
    """The processes of one peer, under a keeper of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ask = Commanded("exchange_keeper.py")

    def start(self, name: str, command: Sequence[object], environment: dict[str, str]) -> None:
        """Start a process; it logs to a file of that name."""
        self._ask("start", name, [str(it) for it in command], environment, str(self._log(name)))

    def cpu_seconds(self) -> float:
        """Of all processes so far; raises if one that must go on has ended."""
        state = self._ask("state")
        for name, code in state["ended"].items():
            if code != 0:
                tail = self._log(name).read_text(errors="replace")[-_LOG_CHARACTERS:]
                raise SystemExit(f"{name} ended with {code}; the end of its log:\n{tail}")
        return float(state["cpu"])

    def pause(self) -> None:
        """Stop all processes where they are."""
        self._ask("pause")

    def resume(self) -> None:
        """Let all processes go on."""
        self._ask("resume")

    def close(self) -> None:
        """End all processes, and wait until they are gone."""
        self._ask.finish()

    def tail(self) -> str:
        """The end of every log."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{it.name}: {it.read_text(errors='replace')[-600:]}" for it in logs)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


class Control:
    """The socket that the app inside of a peer dials to be told what to do."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(1)
        self._connection: socket.socket | None = None
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def wait(self, kept: Kept, seconds: float) -> None:
        """Until the app has dialled and said that it is ready."""
        deadline = time.monotonic() + seconds
        while self._connection is None:
            kept.cpu_seconds()  # notices what has ended
            if time.monotonic() > deadline:
                raise SystemExit(f"the app did not start within {seconds:.0f} s:\n{kept.tail()}")
            try:
                self._connection, _ = self._listener.accept()
            except TimeoutError:
                continue
        self._connection.settimeout(seconds)
        self._lines = self._connection.makefile("r")
        self._lines.readline()

    def ask(self, *order: object) -> Answer:
        """Send an order and wait for its answer."""
        assert self._connection is not None
        self._connection.settimeout(ROUND_SECONDS)
        self._connection.sendall(json.dumps(order).encode() + b"\n")
        line = self._lines.readline()
        if not line:
            raise EOFError
        answer: Answer = json.loads(line)
        return answer

    def close(self) -> None:
        """Let go of the app."""
        self._listener.close()
        if self._connection is not None:
            self._connection.close()


@dataclass(frozen=True)
class Round:
    """What a round took."""

    seconds: float
    cpu_seconds: float


class Peer:
    """A framework that is up, with two clients, and plays rounds."""

    def __init__(self, name: str, kept: Kept, control: Control, poll_seconds: float) -> None:
        """Pause it until its first round.

        Args:
            name: Of the framework.
            kept: Its processes.
            control: Reaches its app.
            poll_seconds: How long its clients wait before they ask for work again. A round begins
                at a moment of that interval drawn by chance: it is nobody's luck.
        """
        self.name = name
        self._kept = kept
        self._control = control
        self._poll_seconds = poll_seconds
        self._random = random.Random(0)
        kept.pause()

    def round(self, size_bytes: int, count: int, *, eager: bool = True) -> Round:
        """A fresh model to two clients and a fresh one back from each; an empty one of no bytes.

        Args:
            size_bytes: Of the model.
            count: Of its tensors.
            eager: Ask for the replies as often as is useful, not as the framework would.
        """
        self._kept.resume()
        time.sleep(AWAKE_SECONDS + self._random.uniform(0, self._poll_seconds))
        before = self._kept.cpu_seconds()
        try:
            answer = self._control.ask(size_bytes, count, eager)
        except (EOFError, OSError) as error:
            raise SystemExit(f"{self.name} failed in a round:\n{self._kept.tail()}") from error
        cpu = self._kept.cpu_seconds() - before
        self._kept.pause()
        return Round(answer["wall"], cpu)
