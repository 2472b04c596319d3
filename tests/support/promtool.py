"""Prometheus' own tool, to say whether rules, queries and metrics are well formed."""

import shutil
import subprocess
from pathlib import Path

import pytest


def find(program: str = "promtool") -> str:
    """Where it is; else skips, and says so."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(
            f"NO {program.upper()}: alerts and queries are not tested; apt install prometheus"
        )
    return found


def tried(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """A command that may fail."""
    return subprocess.run(
        [find(), *arguments], input=given, capture_output=True, text=True, timeout=60, check=False
    )


def check_rules(path: Path) -> str:
    """What it says of a file of rules that is well formed."""
    done = tried("check", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
