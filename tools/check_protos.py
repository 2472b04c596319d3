"""Lint the protos, and refuse changes that a peer of the released version could not read.

`protos/released.binpb` is what was released last; `--release` replaces it by what is there now,
after the same checks. buf comes from PyPI, pinned in requirements.lock.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
RELEASED = "released.binpb"
BUF = Path(sys.executable).with_name("buf")


def buf(*arguments: str) -> bool:
    """Run buf on the protos; whether it found nothing."""
    return subprocess.run([BUF, *arguments], cwd=PROTOS, check=False).returncode == 0


def main() -> int:
    """Check, or check and release."""
    if not buf("lint"):
        print("the protos break a rule of protos/buf.yaml, named above")
        return 1
    if not buf("breaking", "--against", RELEASED):
        print("a released peer cannot read this: add fields and calls, change none")
        return 1
    if "--release" in sys.argv and not buf("build", "--exclude-source-info", "-o", RELEASED):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
