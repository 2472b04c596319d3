"""An OCI image layout of which containerd gets what it lacks.

A worker's dependencies are gigabytes. Before an image is written into a layout, each layer that
containerd has is put there as an empty file: whoever writes the layout takes it for written. The
archive that is made of the layout then names containerd's own, compressed, blob in its place.
"""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

NAME_ANNOTATION = "io.containerd.image.name"
UNCOMPRESSED_LABEL = "containerd.io/uncompressed"
LAYER = "application/vnd.oci.image.layer.v1.tar"
COMPRESSIONS = {b"\x1f\x8b": "+gzip", b"\x28\xb5\x2f\xfd": "+zstd"}

Descriptor = dict[str, Any]


@dataclass(frozen=True)
class Parcel:
    """One image on its way to containerd."""

    name: str
    manifest: bytes
    blobs: tuple[str, ...]
    """Digests of what containerd lacks."""


def parse_layers(listed: str) -> dict[str, str]:
    """`ctr content ls` -> digest of a layer's content -> digest of the blob that it is kept as."""
    layers: dict[str, str] = {}
    for line in listed.splitlines():
        words = line.replace(",", " ").split()
        for word in words:
            if word.startswith(f"{UNCOMPRESSED_LABEL}="):
                layers[word.partition("=")[2]] = words[0]
    return layers


def describe(digest: str, size: int, head: bytes) -> Descriptor:
    """A layer, as a manifest names it."""
    kinds = (kind for magic, kind in COMPRESSIONS.items() if head.startswith(magic))
    return {"mediaType": LAYER + next(kinds, ""), "digest": digest, "size": size}


def blob(layout: Path, digest: str) -> Path:
    """Where a blob is."""
    return layout / "blobs" / digest.replace(":", "/")


def stand_in(layout: Path, held: Mapping[str, Descriptor]) -> None:
    """Pretend that these layers are written."""
    for digest in held:
        path = blob(layout, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def address(layout: Path, name: str, held: Mapping[str, Descriptor]) -> Parcel:
    """What has to go, of the only image of a layout."""
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(layout, index["manifests"][0]["digest"]).read_text())
    lacking = [layer["digest"] for layer in manifest["layers"] if layer["digest"] not in held]
    manifest["layers"] = [held.get(layer["digest"], layer) for layer in manifest["layers"]]
    content = json.dumps(manifest).encode()
    return Parcel(name, content, (manifest["config"]["digest"], *lacking))


def write_archive(layout: Path, parcel: Parcel, output: IO[bytes]) -> int:
    """Stream it; how many bytes of blobs that is."""
    digest = sha256(parcel.manifest).hexdigest()
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": f"sha256:{digest}",
        "size": len(parcel.manifest),
        "annotations": {NAME_ANNOTATION: parcel.name},
    }
    with tarfile.open(fileobj=output, mode="w|") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
        _add(archive, f"blobs/sha256/{digest}", parcel.manifest)
        for path in (blob(layout, one) for one in parcel.blobs):
            archive.add(path, str(path.relative_to(layout)))
    return sum(blob(layout, one).stat().st_size for one in parcel.blobs)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
