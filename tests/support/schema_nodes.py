"""The nodes of the definition's schema, by their paths: `.spec.islands.overrides[].template`."""

from collections.abc import Iterator
from typing import Any

from atoll_api.crd import custom_resource_definition


def root() -> dict[str, Any]:
    """The schema of a whole TrainingJob."""
    version = custom_resource_definition()["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """A node and all below it."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key], f"{path}[]")


def cel_rules() -> Iterator[tuple[str, str]]:
    """(path, message) of every rule."""
    for path, node in nodes(root()):
        for rule in node.get("x-kubernetes-validations", ()):
            yield path, rule["message"]
