"""The CustomResourceDefinition: structural, small, and never stricter than the types."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from builders import job_document, make_job

from atoll_api.crd import custom_resource_definition

LIMIT_BYTES = 64 * 1024
STRUCTURAL = {"type", "description", "properties", "items", "additionalProperties", "required"}
KEYWORDS = STRUCTURAL | {
    "default", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minLength", "maxLength", "minItems", "maxItems", "x-kubernetes-validations",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
}  # fmt: skip


def root() -> dict[str, Any]:
    version = custom_resource_definition()["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key], f"{path}[]")


def at(path: str) -> dict[str, Any]:
    return dict(nodes(root()))[path]


def rules_at(path: str) -> list[str]:
    return [rule["rule"] for rule in at(path).get("x-kubernetes-validations", [])]


def test_it_is_small() -> None:
    assert len(json.dumps(custom_resource_definition())) < LIMIT_BYTES


def test_it_is_structural() -> None:
    for path, node in nodes(root()):
        assert "type" in node, path
        assert node.keys() <= KEYWORDS, path
        assert set(node.get("required", ())) <= set(node.get("properties", ())), path


def test_every_spec_field_is_described() -> None:
    silent = {".spec.task.type", ".spec.strategy.type"}
    for path, node in nodes(root()["properties"]["spec"], ".spec"):
        if node["type"] == "object" and path != ".spec":
            assert node.get("description"), path
        assert path not in silent or node["enum"], path


def test_no_default_on_or_in_a_union() -> None:
    for path, node in nodes(root()):
        assert node["type"] not in ("object", "array") or "default" not in node, path
        inside = ".diffusion" in path or ".expertEnsemble" in path or ".featureClusters" in path
        assert not inside or "default" not in node, path
    assert at(".spec.training.steps")["default"] == 2000


def test_unions_are_closed_by_cel() -> None:
    rules = rules_at(".spec.task.diffusion.architecture")
    assert "!has(self.mlp) || (!has(self.type) || self.type == 'MLP')" in rules
    assert "!has(self.dit) || (has(self.type) && self.type == 'DiT')" in rules
    assert "!has(self.custom) || (self.type == 'Custom')" in rules_at(".spec.task")


def test_only_two_fields_may_change() -> None:
    frozen = {path for path, _ in nodes(root()) if "self == oldSelf" in rules_at(path)}
    tops = {f".spec.{name}" for name in at(".spec")["properties"]}
    assert tops - frozen == {".spec.islands", ".spec.runPolicy"}
    assert ".spec.islands.count" in frozen
    assert rules_at(".spec.islands.quorum") == ["self <= oldSelf"]
    assert "has(self.quorum) || !has(oldSelf.quorum)" in rules_at(".spec.islands")
    assert rules_at(".spec.runPolicy.activeDeadlineSeconds") == []
    assert "has(self.partition) == has(oldSelf.partition)" in rules_at(".spec")


def test_status_lists_are_atomic() -> None:
    lists = [node for path, node in nodes(at(".status")) if node["type"] == "array"]
    assert lists
    assert {node["x-kubernetes-list-type"] for node in lists} == {"atomic"}


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as the server prunes: unknown keys are not kept, so here they are refused."""
    schema = copy.deepcopy(schema)
    for path, node in nodes(schema):
        if "properties" in node and path not in ("", ".metadata"):
            node["additionalProperties"] = False
        for bound in ("Minimum", "Maximum"):
            if node.pop(f"exclusive{bound}", False):
                node[f"exclusive{bound}"] = node.pop(bound.lower())
    return schema


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"islands.quorum": 3, "runPolicy.activeDeadlineSeconds": 60},
        {"task.diffusion": {"architecture": {"type": "DiT"}, "conditioning": "Class"}},
        {"task": {"type": "Custom", "custom": {"entrypoint": "a.b:C", "config": {"k": "v"}}}},
        {"partition": {"type": "ByClass"}, "evaluation.strategies": ["Oracle"]},
        {"strategy.expertEnsemble.combine": {"type": "Threshold", "threshold": {"minimum": 0.2}}},
    ],
)
def test_the_server_accepts_what_the_types_accept(spec: dict[str, Any]) -> None:
    schema = closed(root())
    jsonschema.validate(job_document(**spec), schema)
    jsonschema.validate(make_job(**spec).to_document(), schema)


@pytest.mark.parametrize(
    "spec",
    [
        {"islands.count": 0},
        {"task.type": "Regression"},
        {"training.stepz": 1},
        {"data.holdout": 0.0},
        {"evaluation.strategies": []},
    ],
)
def test_the_server_refuses_most_of_what_the_types_refuse(spec: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job_document(**spec), closed(root()))
