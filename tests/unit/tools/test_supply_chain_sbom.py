"""What an image is made of, by its lock."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tools.supply_chain import licences, locks
from tools.supply_chain.__main__ import IMAGES, ROOT, main
from tools.supply_chain.installed import DebianPackage
from tools.supply_chain.licences import Licence
from tools.supply_chain.locks import Pinned
from tools.supply_chain.sbom import (
    Image,
    Machine,
    SbomError,
    base_image,
    checked,
    differences,
    document,
)

IMAGE = Image(
    "atoll-operator",
    "1.0",
    "registry.example.com:5000/team/python:3.12-slim",
    "x.lock",
    (Pinned("b", "2.0", ("b" * 64, "c" * 64)), Pinned("a", "1.0", ("a" * 64,))),
    (DebianPackage("libc6", "2.36-9+deb12u7", "amd64", "glibc"),),
    "debian-12",
)
KNOWN = {"a": Licence("MIT", "read"), "b": Licence("LicenseRef-Own OR MIT", "read")}


def components(content: str) -> dict[str, Any]:
    return {it["name"]: it for it in checked(content)["components"]}


def test_every_part_has_a_version_a_place_hashes_and_a_licence() -> None:
    found = components(document(IMAGE, KNOWN))
    assert found["a"]["purl"] == "pkg:pypi/a@1.0"
    assert found["a"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert {it["content"] for it in found["b"]["hashes"]} == {"b" * 64, "c" * 64}
    assert found["b"]["licenses"] == [{"expression": "LicenseRef-Own OR MIT"}]
    assert found["libc6"]["purl"] == (
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u7?arch=amd64&distro=debian-12"
    )
    base = found["registry.example.com:5000/team/python"]
    assert base["version"] == "3.12-slim"
    assert {"name": "atoll:digest", "value": "not pinned"} in base["properties"]


def test_it_is_the_same_for_the_same_and_another_for_another() -> None:
    turned = replace(IMAGE, pins=IMAGE.pins[::-1])
    assert document(IMAGE, KNOWN) == document(turned, KNOWN)
    other = checked(document(replace(IMAGE, pins=IMAGE.pins[1:]), KNOWN))
    assert other["serialNumber"] != checked(document(IMAGE, KNOWN))["serialNumber"]


def test_it_holds_a_time_only_if_one_is_given() -> None:
    assert "timestamp" not in checked(document(IMAGE, KNOWN))["metadata"]
    given = checked(document(IMAGE, KNOWN, made=0))
    assert given["metadata"]["timestamp"] == "1970-01-01T00:00:00+00:00"


def test_what_breaks_the_schema_is_refused() -> None:
    content = json.loads(document(IMAGE, KNOWN))
    content["components"][0]["hashes"] = [{"alg": "SHA-256", "content": "short"}]
    with pytest.raises(SbomError, match="breaks CycloneDX's schema"):
        checked(json.dumps(content))


@pytest.mark.parametrize(
    ("marker", "taken"),
    [
        ("", True),
        ("sys_platform == 'linux'", True),
        ("sys_platform == 'win32'", False),
        ("python_full_version >= '3.12'", True),
        ("python_full_version < '3.12'", False),
        ("platform_machine == 'aarch64'", False),
    ],
)
def test_a_pin_counts_on_its_machines(marker: str, taken: bool) -> None:  # noqa: FBT001 # a table
    assert Machine("3.12").takes(Pinned("a", "1", (), marker)) is taken


def test_an_environment_that_is_not_its_lock_s_is_told() -> None:
    assert differences(IMAGE.pins, {"a": "1.0", "b": "2.0"}) == []
    assert differences(IMAGE.pins, {"a": "1.1", "c": "3"}) == [
        "a: 1.1 in the image, 1.0 in its lock",
        "b: missing in the image, 2.0 in its lock",
        "c: 3 in the image, missing in its lock",
    ]


@pytest.mark.parametrize("image", IMAGES)
def test_each_image_can_be_described(
    image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sbom.json"
    assert main(["sbom", image, "--out", str(out)]) == 0
    found = components(out.read_text())
    pins = {it.name: it for it in locks.read(ROOT / IMAGES[image]) if Machine("3.12").takes(it)}
    assert found.keys() - {"python"} == pins.keys()
    for name, it in pins.items():
        assert found[name]["version"] == it.version
        assert len(found[name]["hashes"]) == len(it.hashes)
    assert f"{len(found)} components" in capsys.readouterr().out


def test_an_image_that_holds_something_else_is_not_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = tmp_path / "opt/atoll/lib/python3.12/site-packages/planted-1.dist-info/METADATA"
    planted.parent.mkdir(parents=True)
    planted.write_text("Name: planted\nVersion: 1\n")
    out = tmp_path / "sbom.json"
    assert main(["sbom", "operator", "--out", str(out), "--root", str(tmp_path)]) == 1
    assert "planted: 1 in the image, missing in its lock" in capsys.readouterr().err
    assert not out.exists()


def test_the_base_image_is_the_dockerfile_s(tmp_path: Path) -> None:
    assert re.fullmatch(r"python:3\.12-\S+", base_image(ROOT / "Dockerfile"))  # --python's default
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(SbomError, match="names no BASE_IMAGE"):
        base_image(tmp_path / "Dockerfile")


def test_licences_of_this_environment_are_those_that_are_written() -> None:
    assert (
        licences.licence_of("kopf", licences.installed("kopf"), licences.load()).expression == "MIT"
    )
