"""Processes that a benchmark tells what to do: one JSON list a line, answered by one JSON object.

Both sides of it, and nothing of what is commanded: imports the standard library alone.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


class Commanded:
    """One Python process that runs a script of this folder."""

    def __init__(
        self,
        script: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._script = script
        # A session of its own: Ctrl-C reaches the benchmark only, which then closes this.
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name(script)), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def __call__(self, *command: object) -> Answer:
        """Send a command and wait for its answer."""
        return self.ask(*command)()

    def ask(self, *command: object) -> Callable[[], Answer]:
        """Send a command; what is returned waits for its answer."""
        self.write(command)
        return lambda: self._answer(str(command[0]))

    def write(self, document: object) -> None:
        """Send a line that nothing answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.communicate()

    def finish(self) -> None:
        """End its input, and wait until it has ended for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self, command: str) -> Answer:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._script} died at {command}: see above")
        answer: Answer = json.loads(line)
        return answer


def obey(servant: object) -> None:
    """Answer each line of standard input by the method that it names, until there is no more."""
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(getattr(servant, command)(*arguments)), flush=True)
