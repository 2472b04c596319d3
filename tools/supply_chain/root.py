"""The files of an image: of a folder that holds its root, or of its archive, layer by layer.

Only the few files that say what was installed are read; nothing is unpacked or run.
"""

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

_STATUS: Final = "var/lib/dpkg/status"
_STATUS_FOLDER: Final = "var/lib/dpkg/status.d/"
"""Of images without a package manager."""
_RELEASES: Final = ("etc/os-release", "usr/lib/os-release")
_ENVIRONMENT: Final = "opt/atoll/lib/"
_HIDDEN: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"

Files = Mapping[str, bytes]
"""By their path, which begins with no slash."""
Wanted = Callable[[str], bool]


class RootError(Exception):
    """What was given is no root of an image, or none that can be read here."""


def wanted(path: str) -> bool:
    """Whether a file says what was installed."""
    metadata = path.startswith(_ENVIRONMENT) and path.endswith(".dist-info/METADATA")
    return metadata or path == _STATUS or path in _RELEASES or path.startswith(_STATUS_FOLDER)


def of_folder(folder: Path) -> Files:
    """What a folder holds of it."""
    patterns = (
        _STATUS,
        f"{_STATUS_FOLDER}*",
        *_RELEASES,
        f"{_ENVIRONMENT}python*/site-packages/*.dist-info/METADATA",
    )
    paths = [path for pattern in patterns for path in folder.glob(pattern) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def of_archive(archive: Path) -> Files:
    """What an image holds of it that was saved as an archive of Docker's or OCI's.

    Raises:
        RootError: it is no such archive, or a layer is compressed in a way nobody reads here.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as outer:
            for name in _layers(outer):
                _lay(found, _blob(outer, name))
    except (tarfile.TarError, KeyError, IndexError, ValueError) as error:
        raise RootError(f"{archive} is no archive of one image: {error}") from error
    return found


def _layers(outer: tarfile.TarFile) -> list[str]:
    """The names of the layers, the lowest first."""
    if "index.json" in outer.getnames():
        manifest = json.loads(_blob(outer, "index.json"))
        while "manifests" in manifest:
            manifest = json.loads(_blob(outer, _place(manifest["manifests"][0]["digest"])))
        return [_place(layer["digest"]) for layer in manifest["layers"]]
    (image,) = json.loads(_blob(outer, "manifest.json"))
    return list(image["Layers"])


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _blob(outer: tarfile.TarFile, name: str) -> bytes:
    file = outer.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def _lay(found: dict[str, bytes], layer: bytes) -> None:
    """One layer over those below: its files replace theirs, its marks hide theirs."""
    if layer.startswith(_ZSTD):
        raise RootError("a layer is compressed with zstd: save the image with gzip")
    added: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        for member in files:
            path = PurePosixPath(member.name.lstrip("./"))
            if path.name == _OPAQUE:
                _hide(found, f"{path.parent}/")
            elif path.name.startswith(_HIDDEN):
                hidden = str(path.with_name(path.name.removeprefix(_HIDDEN)))
                found.pop(hidden, None)
                _hide(found, f"{hidden}/")
            elif member.isfile() and wanted(str(path)):
                content = files.extractfile(member)
                added[str(path)] = content.read() if content else b""
    found |= added


def _hide(found: dict[str, bytes], below: str) -> None:
    for path in [it for it in found if it.startswith(below)]:
        del found[path]
