"""The executables: built from Go modules into the cache, and the system's own, from its packages.

A build is done in a folder beside its place and renamed into it: what is there is whole.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

from tools.cluster.components import Programs
from tools.cluster.errors import ClusterError
from tools.cluster.processes import SEARCHED

SOURCES = Path(__file__).parent / "go"
MAKING = ".making-"
KEPT_SECONDS = 14 * 86400.0
"""Two branches with different sources must not build in turns."""
KUBERNETES = "v1.34.4"
MODULES = {
    "kubernetes": (
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
        "storage",
        "pause",
    ),
    "addons": ("coredns", "helm"),
}
"""Folder of a go.mod -> the commands that its `tool` lines make."""
SIMULATOR = "kwok"
"""Simulates nodes. Only benchmarks need it, so it is not built with the others."""

PACKAGES = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ethtool": "ethtool",
    "socat": "socat",
    "ipset": "ipset",
    "ip": "iproute2",
    "mount": "mount",
}
"""Command -> the Debian package that has it."""
IMAGE_PACKAGES = {"buildah": "buildah", "debootstrap": "debootstrap"}
CNI_PACKAGE = "containernetworking-plugins"
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))


def impossible(cache: Path, user: int) -> str | None:
    """Why there can be no cluster here."""
    if user != 0:
        return "it needs root"
    if shutil.which("go") is None and not built_folder(cache).exists():
        return "Go is missing, and nothing is built yet"
    complete = system(PACKAGES).keys() == PACKAGES.keys() and cni_folder()
    if shutil.which("apt-get") is None and not complete:
        return "packages are missing, and there is no apt-get"
    return None


def provide(cache: Path) -> Programs:
    """Everything that the cluster runs; what is missing is built or installed."""
    install(PACKAGES)
    if cni_folder() is None:
        _apt_install([CNI_PACKAGE])
    return Programs(build(cache), system(PACKAGES))


def system(wanted: Mapping[str, str]) -> dict[str, Path]:
    """Where the system has these commands; those it lacks are left out."""
    found = {command: shutil.which(command, path=SEARCHED) for command in wanted}
    return {command: Path(path) for command, path in found.items() if path}


def install(wanted: Mapping[str, str]) -> None:
    """Install the packages of those commands that are not there."""
    present = system(wanted)
    missing = sorted({package for command, package in wanted.items() if command not in present})
    if missing:
        _apt_install(missing)


def cni_folder() -> Path | None:
    """Where the network plugins are."""
    return next((folder for folder in CNI_FOLDERS if (folder / "bridge").exists()), None)


def built_folder(cache: Path) -> Path:
    """Where what is built from the present sources lies; another folder for other sources."""
    return cache / "bin" / f"{KUBERNETES}-{source_digest(SOURCES)}"


def source_digest(folder: Path) -> str:
    """Of every file that a build reads here."""
    said = sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            said.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return said.hexdigest()[:16]


def build(cache: Path) -> Path:
    """Build all that is not built yet; one at a time, however many ask."""
    folder = built_folder(cache)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _building(folder):
            if not folder.exists():
                _forget_old(folder.parent, time.time())
                _build_into(folder)
    os.utime(folder)
    return folder


def build_simulator(cache: Path) -> Path:
    """Build KWOK beside the others, if it is not there yet; the program."""
    folder = build(cache)
    program = folder / SIMULATOR
    if not program.exists():
        with _building(folder):
            if not program.exists():
                making = _making(folder)
                _make_all(making, SIMULATOR, (SIMULATOR,))
                (making / SIMULATOR).rename(program)
                making.rmdir()
    return program


@contextmanager
def _building(folder: Path) -> Iterator[None]:
    with (folder.parent / ".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _forget_old(bin_folder: Path, now: float) -> None:
    """Remove what killed builds left, and programs of other sources that nobody uses any more."""
    for old in filter(Path.is_dir, bin_folder.iterdir()):
        if old.name.startswith(MAKING) or now - old.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(old)


def _build_into(folder: Path) -> None:
    making = _making(folder)
    for module, commands in MODULES.items():
        _make_all(making, module, commands)
    making.rename(folder)


def _making(folder: Path) -> Path:
    if shutil.which("go") is None:
        raise ClusterError("Kubernetes is built with Go, which is not here: install Go 1.26")
    return Path(mkdtemp(prefix=MAKING, dir=folder.parent))


def _make_all(making: Path, module: str, commands: Sequence[str]) -> None:
    print(f"building {', '.join(commands)}: minutes, this once", flush=True)
    _go_build(module, making)
    missing = [command for command in commands if not (making / command).exists()]
    if missing:
        raise ClusterError(f"tools/cluster/go/{module} builds no {', '.join(missing)}")


def _go_build(module: str, target: Path) -> None:
    command = ["go", "build", "-trimpath", f"-ldflags={_ldflags()}", "-o", f"{target}/", "tool"]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    result = subprocess.run(
        command, cwd=SOURCES / module, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise ClusterError(
            f"go build in tools/cluster/go/{module} failed:\n{result.stderr[-4000:]}"
        )


def _ldflags() -> str:
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    package = "k8s.io/component-base/version"
    said = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s -w", *(f"-X {package}.{name}={value}" for name, value in said.items())])


def _apt_install(packages: list[str]) -> None:
    if shutil.which("apt-get") is None:
        raise ClusterError(f"missing here, and no apt-get to install it: {', '.join(packages)}")
    print(f"installing {', '.join(packages)}", flush=True)
    # RUNLEVEL=1: the packages' own services are not wanted.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    for before in ([], ["apt-get", "update", "-qq"]):
        if before:  # old lists name files that are no longer there
            subprocess.run(before, env=environment, capture_output=True, check=False)
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode == 0:
            return
    raise ClusterError(f"apt-get could not install {packages}:\n{result.stderr[-2000:]}")
