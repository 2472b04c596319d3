"""The files of an image, from a folder and from archives with layers."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from tools.supply_chain.installed import (
    DebianPackage,
    debian_packages,
    distributions,
    python,
    release,
)
from tools.supply_chain.root import RootError, of_archive, of_folder

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9+deb12u7
Description: GNU C Library
 contains the standard libraries
 Package: no field

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7
"""
OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
SITE = "opt/atoll/lib/python3.12/site-packages"
FILES = {
    "etc/os-release": OS_RELEASE,
    "var/lib/dpkg/status": STATUS,
    f"{SITE}/Foo_Bar-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.2\n\nx",
    f"{SITE}/foo/x.py": "",
    "tmp/other-1.0.dist-info/METADATA": "Name: other\nVersion: 1.0\n",
}


def layer(files: Mapping[str, str], *, prefix: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            add(archive, f"{prefix}{name}", text.encode())
    return buffer.getvalue()


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def oci(path: Path, *layers: bytes) -> Path:
    """As an OCI tool saves it: an index of an index of a manifest."""
    blobs = list(layers)

    def digest(content: bytes) -> str:
        return f"sha256:{sha256(content).hexdigest()}"

    manifest = json.dumps({"layers": [{"digest": digest(it)} for it in layers]}).encode()
    inner = json.dumps({"manifests": [{"digest": digest(manifest)}]}).encode()
    index = json.dumps({"manifests": [{"digest": digest(inner)}]}).encode()
    with tarfile.open(path, "w") as archive:
        add(archive, "index.json", index)
        for content in (*blobs, manifest, inner):
            add(archive, f"blobs/sha256/{sha256(content).hexdigest()}", content)
    return path


def docker(path: Path, *layers: bytes) -> Path:
    with tarfile.open(path, "w") as archive:
        names = [f"{number}/layer.tar" for number in range(len(layers))]
        add(archive, "manifest.json", json.dumps([{"Layers": names}]).encode())
        for name, content in zip(names, layers, strict=True):
            add(archive, name, content)
    return path


def test_a_folder_says_what_was_installed(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    files = of_folder(tmp_path)
    assert distributions(files) == {"foo-bar": "1.2"}
    assert python(files) == "3.12"
    assert release(files) == "debian-12"
    assert debian_packages(files) == (
        DebianPackage("bash", "5.2.15-2+b7", "amd64", "bash"),
        DebianPackage("libc6", "2.36-9+deb12u7", "amd64", "glibc"),
    )


def test_an_archive_says_the_same(tmp_path: Path) -> None:
    whole = {name: text.encode() for name, text in FILES.items() if not name.startswith("tmp")}
    del whole[f"{SITE}/foo/x.py"]
    assert of_archive(oci(tmp_path / "oci.tar", layer(FILES))) == whole
    assert of_archive(docker(tmp_path / "docker.tar", gzip.compress(layer(FILES)))) == whole
    assert of_archive(oci(tmp_path / "dots.tar", layer(FILES, prefix="./"))) == whole


def test_a_layer_replaces_and_hides_what_is_below(tmp_path: Path) -> None:
    upper = {
        "etc/.wh.os-release": "",
        "var/lib/dpkg/status": "Package: x\nVersion: 1\nArchitecture: all\n",
        f"{SITE}/.wh.Foo_Bar-1.2.dist-info": "",
    }
    files = of_archive(oci(tmp_path / "it.tar", layer(FILES), layer(upper)))
    assert debian_packages(files) == (DebianPackage("x", "1", "all", "x"),)
    assert distributions(files) == {}
    assert release(files) == ""
    opaque = {"opt/.wh..wh..opq": "", f"{SITE}/b-2.dist-info/METADATA": "Name: b\nVersion: 2\n"}
    files = of_archive(oci(tmp_path / "opaque.tar", layer(FILES), layer(opaque)))
    assert distributions(files) == {"b": "2"}


def test_images_without_a_package_manager_have_a_file_a_package(tmp_path: Path) -> None:
    file = {"var/lib/dpkg/status.d/base": "Package: base\nVersion: 12\nArchitecture: amd64\n"}
    files = of_archive(oci(tmp_path / "it.tar", layer(file)))
    assert debian_packages(files) == (DebianPackage("base", "12", "amd64", "base"),)


def test_what_is_no_image_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    for path in (tmp_path / "text", tmp_path / "empty.tar"):
        with pytest.raises(RootError, match="is no archive of one image"):
            of_archive(path)
    with pytest.raises(RootError, match="zstd"):
        of_archive(oci(tmp_path / "zstd.tar", b"\x28\xb5\x2f\xfd" + bytes(20)))
