"""kubectl as a child process, for what is a stream and no document: ports and logs.

A child never outlives this process, whatever ends it: a shell beside it holds the other end of a
pipe, and ends it when that closes.
"""

import shutil
from dataclasses import dataclass
from typing import Final

from atoll_cli.cluster.place import Place
from atoll_cli.errors import CliError, ExitCode

_LIFELINE: Final = """
exec 3<&0
"$@" </dev/null 3<&- & child=$!
{ while read -r _ <&3; do :; done; kill "$child"; } 2>/dev/null & watcher=$!
exec 3<&-
wait "$child"; code=$?
kill "$watcher" 2>/dev/null
exit "$code"
"""
"""Runs a command until it ends, or standard input does."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl, for one place."""

    program: str
    place: Place

    def command(self, *arguments: str) -> list[str]:
        """Its command line; `place` says how to come there, whatever the environment says."""
        where = [f"--namespace={self.place.namespace}"]
        if self.place.context:
            where.append(f"--context={self.place.context}")
        return [self.program, *where, *arguments]

    def held(self, *arguments: str) -> list[str]:
        """The same, to be started with a pipe as standard input: it ends when that closes."""
        return ["/bin/sh", "-c", _LIFELINE, "atoll", *self.command(*arguments)]

    @property
    def environment(self) -> dict[str, str]:
        """What it has to find in its environment: the files of the place."""
        files = ":".join(map(str, self.place.files))
        return {"KUBECONFIG": files} if files else {}


def find_kubectl(place: Place, needed_for: str) -> Kubectl:
    """The kubectl on the path.

    Raises:
        CliError: there is none.
    """
    program = shutil.which("kubectl")
    if program is None:
        raise CliError(
            f"kubectl is not on the PATH, and {needed_for} needs it: install it "
            "(https://kubernetes.io/docs/tasks/tools)",
            ExitCode.FINAL,
        )
    return Kubectl(program, place)


def reason(said: str) -> str:
    """Why kubectl gave up: the last thing that it said, without its own decoration."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else "kubectl ended without a word"
    return last.removeprefix("error: ").removeprefix("Error from server ")
