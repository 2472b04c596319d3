"""Only what containerd lacks is given to it."""

import io
import json
import tarfile
from hashlib import sha256
from pathlib import Path

from tools.cluster import layout
from tools.cluster.containers import replaced, single_file_image
from tools.cluster.images import Builder, build_arguments

LISTED = """DIGEST SIZE AGE LABELS
sha256:aa 50.69MB 8 minutes containerd.io/uncompressed=sha256:11
sha256:bb 1.434MB 8 minutes x=y,containerd.io/uncompressed=sha256:22
sha256:cc 422B 8 minutes containerd.io/gc.ref.content.l.0=sha256:aa
"""
ZSTD = b"\x28\xb5\x2f\xfd"


def put(folder: Path, content: bytes) -> str:
    digest = f"sha256:{sha256(content).hexdigest()}"
    path = layout.blob(folder, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digest


def an_image(folder: Path, layers: list[str]) -> str:
    """A layout with these layers, all of which are said to be there; the configuration's digest."""
    configuration = put(folder, b"{}")
    described = [{"mediaType": layout.LAYER, "digest": one, "size": 1} for one in layers]
    manifest = {"config": {"digest": configuration, "size": 2}, "layers": described}
    digest = put(folder, json.dumps(manifest).encode())
    (folder / "index.json").write_text(json.dumps({"manifests": [{"digest": digest}]}))
    return configuration


def test_what_containerd_says_that_it_has() -> None:
    assert layout.parse_layers(LISTED) == {"sha256:11": "sha256:aa", "sha256:22": "sha256:bb"}


def test_an_image_goes_when_another_has_its_name() -> None:
    old, new, pause = (f"sha256:{character * 64}" for character in "abc")
    listed = (
        "REF TYPE DIGEST SIZE PLATFORMS LABELS\n"
        f"atoll.dev/worker:test type {new} 2.4 GiB linux/amd64 -\n"
        f"pause:1 type {pause} 1.4 MiB linux/amd64 -\n"
        f"sha256:{'1' * 64} type {old} 2.4 GiB linux/amd64 -\n"
        f"sha256:{'2' * 64} type {pause} 1.4 MiB linux/amd64 -\n"
    )
    assert replaced(listed) == [f"sha256:{'1' * 64}"]


def test_a_blob_says_how_it_is_compressed() -> None:
    def kind(head: bytes) -> str:
        return str(layout.describe("sha256:aa", 7, head)["mediaType"]).removeprefix(layout.LAYER)

    assert [kind(b"\x1f\x8b\x08\x00"), kind(ZSTD), kind(b"etc/")] == ["+gzip", "+zstd", ""]


def test_an_archive_has_the_new_layers_and_names_the_others(tmp_path: Path) -> None:
    held = {"sha256:11": layout.describe("sha256:aa", 50, ZSTD)}
    layout.stand_in(tmp_path, held)
    new = put(tmp_path, b"code")
    configuration = an_image(tmp_path, ["sha256:11", new])
    parcel = layout.address(tmp_path, "atoll.dev/worker:test", held)
    archive = io.BytesIO()
    assert layout.write_archive(tmp_path, parcel, archive) == len(b"{}" + b"code")
    archive.seek(0)
    with tarfile.open(fileobj=archive) as opened:
        names = set(opened.getnames())
        index = json.loads((opened.extractfile("index.json") or io.BytesIO()).read())
    manifest = index["manifests"][0]
    assert manifest["annotations"][layout.NAME_ANNOTATION] == "atoll.dev/worker:test"
    blobs = {f"blobs/{one.replace(':', '/')}" for one in (configuration, new, manifest["digest"])}
    assert names == {"oci-layout", "index.json", *blobs}
    assert json.loads(parcel.manifest)["layers"] == [
        {"mediaType": f"{layout.LAYER}+zstd", "digest": "sha256:aa", "size": 50},
        {"mediaType": layout.LAYER, "digest": new, "size": 1},
    ]


def test_a_build_uses_what_is_downloaded_if_there_is_any() -> None:
    builder = Builder(Path("/cache"), "base", "worker.lock")
    plain = build_arguments(builder, "worker", "name", None)
    assert "--build-arg=WORKER_LOCK=worker.lock" in plain
    assert not any("UV_" in argument for argument in plain)
    cached = build_arguments(builder, "worker", "name", Path("/uv"))
    assert "--volume=/uv:/var/cache/uv" in cached


def test_an_image_of_one_program() -> None:
    archive = single_file_image("a/b:1", "pause", b"program")
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        configuration = json.loads((opened.extractfile("config.json") or io.BytesIO()).read())
        layer = (opened.extractfile("layer.tar") or io.BytesIO()).read()
    assert configuration["config"]["Entrypoint"] == ["/pause"]
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as opened:
        assert opened.getmember("pause").mode == 0o755
