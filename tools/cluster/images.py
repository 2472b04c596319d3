"""Builds Atoll's images with buildah, which needs no daemon, and gives them to containerd.

Layers are cached in the cache folder; a change of code builds and moves a small layer only.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from tools.cluster import layout, machine
from tools.cluster.addresses import IMAGES
from tools.cluster.containers import ctr, ctr_command, forget_replaced
from tools.cluster.errors import ClusterError
from tools.cluster.places import Places
from tools.cluster.programs import IMAGE_PACKAGES, install

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "bookworm"
BASE_PACKAGES = "python3,python3-venv,ca-certificates"
BASE_IMAGE = f"localhost/atoll-base:{RELEASE}-1"
UNUSED = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
)
CERTIFICATES = Path("/etc/ssl/certs")
COMPRESSION = ("--compression-format=zstd", "--compression-level=1")
PASSING = ".passing-"
UV_CACHE = "/var/cache/uv"
CPU_LOCK = "requirements-worker-cpu.lock"
FULL_LOCK = "requirements-worker.lock"


@dataclass(frozen=True)
class Builder:
    """buildah, with its storage in the cache folder."""

    folder: Path
    base_image: str
    worker_lock: str

    def run(self, *arguments: str) -> str:
        """Run one of its commands; what it printed."""
        storage = (f"--root={self.folder / 'storage'}", f"--runroot={self.folder / 'run'}")
        command = ["buildah", *storage, "--storage-driver=overlay", *arguments]
        environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT
        )
        if result.returncode:
            said = f"{result.stdout}{result.stderr}"[-4000:]
            raise ClusterError(f"buildah {' '.join(arguments)} failed:\n{said}")
        return result.stdout.strip()

    def has(self, image: str) -> bool:
        """Whether the storage holds an image."""
        return bool(self.run("images", "--quiet", "--filter", f"reference={image}"))


def build(places: Places, targets: Iterable[str], worker_lock: str) -> Builder:
    """Make the images of these targets, of the code as it is; nothing has to run for that."""
    install(IMAGE_PACKAGES)
    builder = Builder(places.builds, BASE_IMAGE, worker_lock)
    builder.folder.mkdir(parents=True, exist_ok=True)
    builder.run("rm", "--all")  # what a failed or a killed build left
    for left in builder.folder.glob(f"{PASSING}*"):  # by one that was killed
        _discard(left)
    if not builder.has(builder.base_image):
        _make_base(builder)
    for target in targets:
        began = time.monotonic()
        _build(builder, target, IMAGES[target])
        print(f"{IMAGES[target]}: built in {time.monotonic() - began:.1f} s", flush=True)
    builder.run("rmi", "--prune")
    return builder


def build_and_load(places: Places, targets: Iterable[str], worker_lock: str) -> None:
    """Have the images of these targets, made of the code as it is, where pods find them."""
    chosen = tuple(targets)
    builder = build(places, chosen, worker_lock)
    for target in chosen:
        began = time.monotonic()
        moved = _move(places, builder, IMAGES[target])
        seconds = time.monotonic() - began
        print(f"{IMAGES[target]}: {moved / 1e6:.0f} MB loaded in {seconds:.1f} s", flush=True)
    forget_replaced(places)


def _build(builder: Builder, target: str, name: str) -> None:
    builder.run("build", *build_arguments(builder, target, name, _host_cache()), str(ROOT))


def build_arguments(
    builder: Builder, target: str, name: str, uv_cache: Path | None
) -> tuple[str, ...]:
    """What makes a target build without a registry, and use what this machine has downloaded."""
    cached = (
        f"--volume={uv_cache}:{UV_CACHE}",
        "--build-arg=UV_NO_CACHE=0",
        f"--build-arg=UV_CACHE_DIR={UV_CACHE}",
    )
    return (
        "--layers",
        "--pull-never",
        "--network=host",
        f"--target={target}",
        f"--tag={name}",
        f"--build-arg=BASE_IMAGE={builder.base_image}",
        f"--build-arg=WORKER_LOCK={builder.worker_lock}",
        f"--volume={CERTIFICATES}:{CERTIFICATES}:ro",
        *(cached if uv_cache else ()),
    )


def _host_cache() -> Path | None:
    folder = Path(os.environ.get("UV_CACHE_DIR", Path.home() / ".cache/uv"))
    return folder if folder.is_dir() else None


def _move(places: Places, builder: Builder, name: str) -> int:
    """From buildah's storage to containerd's; the bytes that it lacked."""
    held = _held_layers(places)
    folder = Path(mkdtemp(prefix=PASSING, dir=builder.folder))
    try:
        layout.stand_in(folder, held)
        builder.run("push", *COMPRESSION, "--format=oci", name, f"oci:{folder}:image")
        return _import(places, folder, layout.address(folder, name, held))
    finally:
        shutil.rmtree(folder)


def _held_layers(places: Places) -> dict[str, layout.Descriptor]:
    """Digest of a layer's content -> the blob that containerd keeps it as."""
    content = places.images / "io.containerd.content.v1.content"
    held = {}
    for layer, digest in layout.parse_layers(ctr(places, "content", "ls")).items():
        path = layout.blob(content, digest)
        with path.open("rb") as file:
            held[layer] = layout.describe(digest, path.stat().st_size, file.read(4))
    return held


def _import(places: Places, folder: Path, parcel: layout.Parcel) -> int:
    command = ctr_command(places, "images", "import", "-")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as client:
        assert client.stdin
        assert client.stdout
        try:
            moved = layout.write_archive(folder, parcel, client.stdin)
            client.stdin.close()
        except BrokenPipeError:
            moved = 0  # what it says tells why
        said = client.stdout.read().decode()
    if client.returncode:
        raise ClusterError(f"containerd does not take {parcel.name}: {said.strip()}")
    return moved


def _make_base(builder: Builder) -> None:
    """A Debian with Python, from its packages: no registry is needed."""
    print(f"making the base image of Debian {RELEASE}: a minute, this once", flush=True)
    folder = Path(mkdtemp(prefix=PASSING, dir=builder.folder))
    try:
        _debootstrap(folder / "root")
        container = builder.run("from", "scratch")
        builder.run("add", "--quiet", container, str(folder / "root"), "/")
        builder.run("config", "--env=PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", container)
        builder.run("commit", "--quiet", "--rm", container, builder.base_image)
    finally:
        _discard(folder)


def _debootstrap(root: Path) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", RELEASE, str(root)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ClusterError(f"debootstrap failed:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
    for name in UNUSED:
        for path in (root / name).iterdir():
            machine.remove(path)


def _discard(folder: Path) -> None:
    machine.unmount(folder)  # a killed debootstrap leaves what it mounted
    shutil.rmtree(folder)
