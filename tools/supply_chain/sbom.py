"""Writes what an image is made of, as CycloneDX: of the same locks in the same environment the same bytes.

By the lock, which the image is built from; with the files of an image at hand, by what they say of
Debian's packages too, and only if its environment is the lock's.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.markers import Marker

from tools.supply_chain.installed import DebianPackage
from tools.supply_chain.licences import Licence
from tools.supply_chain.locks import Pinned

_PREFIX: Final = "atoll:"
_REFERENCE: Final = re.compile(r"(.+?)(?::([^:/]+))?")


class SbomError(Exception):
    """An image cannot be described as asked."""


@dataclass(frozen=True)
class Machine:
    """For what an image is."""

    python: str
    """Such as 3.12."""
    architecture: str = "x86_64"

    def takes(self, pinned: Pinned) -> bool:
        """Whether a pin counts there."""
        environment = {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "platform_machine": self.architecture,
        }
        return not pinned.marker or Marker(pinned.marker).evaluate(environment)


@dataclass(frozen=True)
class Image:
    """What there is to say of one."""

    name: str
    version: str
    base: str
    """Such as python:3.12-slim."""
    lock: str
    pins: tuple[Pinned, ...]
    debian: tuple[DebianPackage, ...] = ()
    release: str = ""


def base_image(dockerfile: Path) -> str:
    """What an image is built on where nobody says otherwise."""
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", dockerfile.read_text(), re.MULTILINE)
    if found is None:
        raise SbomError(f"{dockerfile.name} names no BASE_IMAGE")
    return found[1]


def differences(pins: Iterable[Pinned], found: Mapping[str, str]) -> list[str]:
    """Where an environment is not what its lock says."""
    locked = {it.name: it.version for it in pins}
    return [
        f"{name}: {found.get(name, 'missing')} in the image, {locked.get(name, 'missing')} in its lock"
        for name in sorted(locked.keys() | found.keys())
        if locked.get(name) != found.get(name)
    ]


def document(image: Image, licences: Mapping[str, Licence], made: int | None = None) -> str:
    """The bill of materials, in JSON.

    Args:
        image: of what.
        licences: by the name of a distribution; all are known.
        made: when, in seconds since the epoch; None says nothing of it.
    """
    bom = Bom()
    bom.metadata.component = _image(image)
    bom.components.update((*_pythons(image.pins, licences), *_debians(image), _base(image)))
    bom.register_dependency(bom.metadata.component, bom.components)
    content = json.loads(JsonV1Dot6(bom).output_as_string())
    del content["metadata"]["timestamp"], content["serialNumber"]
    content.pop("dependencies", None)  # a lock does not say who asked for what
    content["components"].sort(key=lambda it: str(it["bom-ref"]))
    digest = uuid5(NAMESPACE_URL, json.dumps(content, sort_keys=True))
    content["serialNumber"] = f"urn:uuid:{digest}"
    if made is not None:
        content["metadata"]["timestamp"] = datetime.fromtimestamp(made, UTC).isoformat()
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def complaint(content: str) -> str:
    """What CycloneDX's own schema has against it; empty if nothing."""
    error = _schema().validate_str(content)
    return str(error) if error else ""


@cache
def _schema() -> JsonStrictValidator:
    """It comes with the library, and takes longer to read than a document to check."""
    return JsonStrictValidator(SchemaVersion.V1_6)


def _image(image: Image) -> Component:
    return Component(
        name=image.name,
        version=image.version,
        type=ComponentType.CONTAINER,
        bom_ref=f"{image.name}@{image.version}",
        licenses=[LicenseFactory().make_from_string("Apache-2.0")],
        properties=_properties(lock=image.lock),
    )


def _base(image: Image) -> Component:
    """By its tag: an image that is not pinned by its digest is whatever its registry gives."""
    whole, _, digest = image.base.partition("@")
    name, tag = _REFERENCE.fullmatch(whole).groups("latest")  # type: ignore[union-attr]
    known = {"distribution": image.release, "digest": digest or "not pinned"}
    return Component(
        name=name,
        version=tag,
        type=ComponentType.CONTAINER,
        bom_ref=f"base:{image.base}",
        purl=PackageURL("docker", None, name, digest or tag),
        properties=_properties(**{key: it for key, it in known.items() if it}),
    )


def _pythons(pins: Sequence[Pinned], licences: Mapping[str, Licence]) -> list[Component]:
    return [
        Component(
            name=it.name,
            version=it.version,
            type=ComponentType.LIBRARY,
            bom_ref=f"pypi:{it.name}@{it.version}",
            purl=PackageURL("pypi", None, it.name, it.version),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in it.hashes],
            licenses=[_license(licences[it.name].expression or "")],
            properties=_properties(licence=licences[it.name].source),
        )
        for it in pins
    ]


def _license(expression: str) -> License:
    """The factory takes an expression with a licence of its own for a mere name."""
    if " " in expression or expression.startswith("LicenseRef-"):
        return LicenseExpression(expression)
    return LicenseFactory().make_from_string(expression)


def _debians(image: Image) -> list[Component]:
    return [_debian(it, image.release) for it in image.debian]


def _debian(package: DebianPackage, release: str) -> Component:
    qualifiers = {"arch": package.architecture} | ({"distro": release} if release else {})
    distributor = release.partition("-")[0] or "debian"
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"deb:{package.name}:{package.architecture}@{package.version}",
        purl=PackageURL("deb", distributor, package.name, package.version, qualifiers),
        properties=_properties(source=package.source),
    )


def _properties(**values: str) -> list[Property]:
    return [Property(name=f"{_PREFIX}{key}", value=it) for key, it in values.items()]


def checked(content: str) -> dict[str, Any]:
    """The document, if it is one.

    Raises:
        SbomError: it breaks the schema.
    """
    if said := complaint(content):
        raise SbomError(f"the document breaks CycloneDX's schema: {said[:500]}")
    found: dict[str, Any] = json.loads(content)
    return found
