"""The CustomResourceDefinition: structural, small, and never stricter than the types."""

import copy
import functools
import json
from typing import Any

import jsonschema
import pytest
from builders import FULL_TEMPLATE, job_document, make_job
from schema_nodes import nodes, root

from atoll_api.crd import custom_resource_definition

LIMIT_BYTES = 64 * 1024
STRUCTURAL = {"type", "description", "properties", "items", "additionalProperties", "required"}
KEYWORDS = STRUCTURAL | {
    "default", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minLength", "maxLength", "minItems", "maxItems", "maxProperties", "format",
    "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields",
}  # fmt: skip
BRIEF = (
    ".spec.islands.template.",
    ".spec.roles[].template.",
    ".spec.islands.overrides[].template.",
)
"""Their fields are described in `.spec.template`."""


@functools.cache
def by_path() -> dict[str, dict[str, Any]]:
    return dict(nodes(root()))


def at(path: str) -> dict[str, Any]:
    return by_path()[path]


def rules_at(path: str) -> list[str]:
    return [rule["rule"] for rule in at(path).get("x-kubernetes-validations", [])]


def test_it_is_small() -> None:
    """As it travels, and as kubectl keeps it in an annotation."""
    text = json.dumps(custom_resource_definition(), separators=(",", ":"))
    assert len(text) < LIMIT_BYTES


def test_it_is_structural() -> None:
    for path, node in nodes(root()):
        assert ("type" in node) != ("x-kubernetes-int-or-string" in node), path
        assert node.keys() <= KEYWORDS, path
        assert set(node.get("required", ())) <= set(node.get("properties", ())), path


def test_every_spec_field_is_described() -> None:
    silent = {".spec.task.type", ".spec.strategy.type"}
    for path, node in nodes(root()["properties"]["spec"], ".spec"):
        if node.get("type") == "object" and path != ".spec" and not path.startswith(BRIEF):
            assert node.get("description") or path.endswith("[]") or "Affinity" in path, path
        assert path not in silent or node["enum"], path


def test_every_field_of_a_template_is_described_once() -> None:
    for name in at(".spec.template")["properties"]:
        assert at(f".spec.template.{name}").get("description"), name
        assert at(f".spec.islands.template.{name}").get("description"), name
    for path in BRIEF:
        assert "spec.template" in at(path.removesuffix(".")).get("description", ""), path


def test_all_templates_are_the_same_but_for_words() -> None:
    full = at(".spec.template")["properties"].keys()
    for path in BRIEF:
        assert at(path.removesuffix("."))["properties"].keys() == full


def test_no_default_on_or_in_a_union() -> None:
    for path, node in nodes(root()):
        assert node.get("type") not in ("object", "array") or "default" not in node, path
        inside = ".diffusion" in path or ".expertEnsemble" in path or ".featureClusters" in path
        assert not inside or "default" not in node, path
    assert at(".spec.training.steps")["default"] == 2000


def test_unions_are_closed_by_cel() -> None:
    rules = rules_at(".spec.task.diffusion.architecture")
    assert "!has(self.mlp) || (!has(self.type) || self.type == 'MLP')" in rules
    assert "!has(self.dit) || (has(self.type) && self.type == 'DiT')" in rules
    assert "!has(self.custom) || (self.type == 'Custom')" in rules_at(".spec.task")


def test_only_four_fields_may_change() -> None:
    frozen = {path for path in by_path() if "self == oldSelf" in rules_at(path)}
    tops = {f".spec.{name}" for name in at(".spec")["properties"]}
    assert tops - frozen == {".spec.islands", ".spec.runPolicy", ".spec.suspend"}
    assert at(".spec.suspend")["default"] is False
    for name in ("template", "overrides"):
        assert f".spec.islands.{name}" in frozen
        assert f"has(self.{name}) == has(oldSelf.{name})" in rules_at(".spec.islands")
    for name in ("template", "roles", "network", "managedBy"):
        assert f"has(self.{name}) == has(oldSelf.{name})" in rules_at(".spec")
    assert ".spec.islands.count" in frozen
    assert rules_at(".spec.islands.quorum") == ["self <= oldSelf"]
    assert "has(self.quorum) || !has(oldSelf.quorum)" in rules_at(".spec.islands")
    assert rules_at(".spec.runPolicy.activeDeadlineSeconds") == []
    assert rules_at(".spec.runPolicy.ttlSecondsAfterFinished") == []
    assert "has(self.partition) == has(oldSelf.partition)" in rules_at(".spec")


def test_status_lists_are_atomic() -> None:
    lists = [node for path, node in nodes(at(".status")) if node.get("type") == "array"]
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
        {"template": FULL_TEMPLATE, "roles": [{"role": "hub", "template": FULL_TEMPLATE}]},
        {"islands.template": FULL_TEMPLATE, "suspend": True, "managedBy": "atoll.dev/operator"},
        {"islands.overrides": [{"island": 1, "template": FULL_TEMPLATE}]},
        {"network": {"egress": [{"cidr": "10.0.0.0/8", "ports": [443]}, {"cidr": "fd00::/8"}]}},
        {"network": {"isolation": "Open"}, "runPolicy.ttlSecondsAfterFinished": 0},
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
        {"template": {"hostNetwork": True}},
        {"template": {"volumes": [{"name": "x", "mountPath": "/x", "hostPath": {"path": "/"}}]}},
        {"template": {"securityContext": {"privileged": True}}},
        {"template": {"securityContext": {"runAsUser": 0}}},
        {"template": {"resources": {"limits": {"memory": "4 GB"}}}},
        {"islands.template": {"tolerations": [{"effect": "Never"}]}},
        {"roles": [{"role": "leader", "template": {}}]},
        {"network": {"egress": [{"cidr": "10.0.0.0/8", "ports": [0]}]}},
        {"managedBy": "me"},
        {"runPolicy": {"ttlSecondsAfterFinished": -1}},
    ],
)
def test_the_server_refuses_most_of_what_the_types_refuse(spec: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job_document(**spec), closed(root()))
