"""Generate `protos/gen` from `protos/`; with `--check`, fail if the committed files differ.

protoc comes from the pinned grpcio-tools, so the generated code and the runtime agree.
"""

import filecmp
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GENERATED = PROTOS / "gen"


def generate(folder: Path) -> None:
    """Write the generated modules, with stubs, into `folder`."""
    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "atoll").rglob("*.proto"))
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    environment = {"PATH": str(Path(sys.executable).parent)}
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", *outputs, *sources]
    subprocess.run(command, check=True, env=environment, cwd=PROTOS)
    packages = {module.parent for module in folder.rglob("*_pb2.py")}
    for package in sorted(packages | {parent for p in packages for parent in p.parents}):
        if package != folder and package.is_relative_to(folder):
            (package / "__init__.py").touch()


def differences(left: Path, right: Path) -> list[str]:
    """Files that differ or that only one side has."""
    names = {
        path.relative_to(side)
        for side in (left, right)
        for path in side.rglob("*.py*")
        if "__pycache__" not in path.parts
    }
    return sorted(
        str(name)
        for name in names
        if not (left / name).exists()
        or not (right / name).exists()
        or not filecmp.cmp(left / name, right / name, shallow=False)
    )


def main() -> int:
    """Generate, or check."""
    if "--check" not in sys.argv:
        GENERATED.mkdir(exist_ok=True)
        generate(GENERATED)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = differences(GENERATED, Path(folder))
    for name in stale:
        print(f"protos/gen/{name} is not what protos/ generates: run `make generate`")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
