"""containerd, by its own client: images in, what is left of containers out."""

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from tools.cluster.addresses import PAUSE_IMAGE
from tools.cluster.errors import ClusterError
from tools.cluster.places import Places

NAMESPACE = "k8s.io"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}$")


def ctr_command(places: Places, *arguments: str) -> list[str]:
    """How containerd's client is asked, in the namespace of Kubernetes."""
    return ["ctr", "--address", str(places.containerd_socket), "-n", NAMESPACE, *arguments]


def ctr(places: Places, *arguments: str) -> str:
    """Run containerd's client."""
    command = ctr_command(places, *arguments)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ClusterError(f"ctr {' '.join(arguments)} failed: {result.stderr.strip()}")
    return result.stdout


def load(places: Places, archive: Path) -> None:
    """Import the images of an archive; layers that containerd has need not be in it."""
    ctr(places, "images", "import", str(archive))


def image_names(places: Places) -> set[str]:
    """What pods can name."""
    return set(ctr(places, "images", "ls", "-q").split())


def ensure_pause(places: Places, program: Path) -> None:
    """The image that holds a pod's namespaces: one static program."""
    if PAUSE_IMAGE in image_names(places):
        return
    archive = places.run / "pause.tar"
    archive.write_bytes(single_file_image(PAUSE_IMAGE, program.name, program.read_bytes()))
    load(places, archive)
    archive.unlink()


def forget_replaced(places: Places) -> None:
    """Let go of images whose name another one has by now, and so of their layers."""
    names = replaced(ctr(places, "images", "ls"))
    if names:
        ctr(places, "images", "rm", *names)


def replaced(listed: str) -> list[str]:
    """The names by identity that no image with a real name stands behind any more."""
    rows = [line.split() for line in listed.splitlines()[1:]]
    images = [(row[0], next(word for word in row[1:] if DIGEST.match(word))) for row in rows]
    named = {digest for name, digest in images if not name.startswith("sha256:")}
    return [name for name, digest in images if digest not in named]


def forget_containers(places: Places) -> bool:
    """Drop what an earlier cluster left; whether there was something."""
    left = ctr(places, "containers", "ls", "-q").split()
    for identity in left:
        task = ctr_command(places, "tasks", "delete", "--force", identity)
        subprocess.run(task, capture_output=True, check=False)  # most have none any more
        ctr(places, "containers", "delete", identity)
    return bool(left)


def single_file_image(name: str, program: str, content: bytes) -> bytes:
    """An archive, as `docker save` makes them, of an image that has one program."""
    layer = _tar({program: content}, mode=0o755)
    configuration = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": [f"/{program}"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer).hexdigest()}"]},
        }
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {
        "config.json": configuration,
        "layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    return _tar(files, mode=0o644)


def _tar(files: Mapping[str, bytes], mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
