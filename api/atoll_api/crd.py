"""The CustomResourceDefinition, computed from the types; pure.

What the API server can check is there: structure, bounds, the members of unions, and what may
change after creation. Defaults stand only on plain fields outside unions: a default on a union's
member would make the smallest job invalid.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from atoll_api import names
from atoll_api.spec.job import TrainingJobSpec
from atoll_api.status import TrainingJobStatus

Schema = dict[str, Any]

_LOWER_ONLY = ("islands", "quorum")
_MUTABLE = frozenset(
    {
        _LOWER_ONLY,
        ("suspend",),
        ("runPolicy", "activeDeadlineSeconds"),
        ("runPolicy", "ttlSecondsAfterFinished"),
    }
)
"""What may change after creation; the quorum may only fall."""

_KEPT_KEYWORDS = frozenset(
    [
        "type",
        "description",
        "enum",
        "default",
        "format",
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "maxProperties",
        "required",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-validations",
    ]
)


def custom_resource_definition() -> Schema:
    """The whole object, ready to be written as YAML or JSON."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": ["all"],
            },
            "versions": [_version()],
        },
    }


def _version() -> Schema:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": _printer_columns(),
        "schema": {"openAPIV3Schema": _root_schema()},
    }


def _printer_columns() -> list[Schema]:
    columns = [
        ("State", "string", ".status.state", 0),
        ("Strategy", "string", ".spec.strategy.type", 0),
        ("Islands", "string", ".status.islandsReady", 0),
        ("Progress", "integer", ".status.progress.percent", 0),
        ("Age", "date", ".metadata.creationTimestamp", 0),
        ("Metric", "string", ".status.evaluation.metrics[0].value", 1),
        ("Hub", "string", ".status.hub", 1),
    ]
    return [
        {"name": name, "type": kind, "jsonPath": path}
        | ({"priority": priority} if priority else {})
        for name, kind, path, priority in columns
    ]


def _root_schema() -> Schema:
    spec = structural(TrainingJobSpec.model_json_schema(by_alias=True))
    _shorten_templates(spec["properties"])
    _forbid_changes(spec, ())
    return {
        "type": "object",
        "description": "One decentralized training job.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": _status_schema(),
        },
        "x-kubernetes-validations": [
            {
                "rule": f"self.metadata.name.matches('{names.JOB_NAME_PATTERN}') && "
                f"size(self.metadata.name) <= {names.JOB_NAME_MAX_LENGTH}",
                "message": "the name must be lower-case letters, digits and '-', beginning with a "
                f"letter, at most {names.JOB_NAME_MAX_LENGTH} characters",
            }
        ],
    }


def _shorten_templates(fields: Schema) -> None:
    """Describe `spec.template` in full, `islands.template` in part: four times are too large."""
    islands = fields["islands"]["properties"]
    for field in islands["template"]["properties"].values():
        said = {"description": field["description"]} if "description" in field else {}
        _without_words(field)
        field.update(said)
    for holder in (fields["roles"], islands["overrides"]):
        for field in holder["items"]["properties"]["template"]["properties"].values():
            _without_words(field)


def _without_words(schema: Schema) -> None:
    for node in _nodes(schema):
        node.pop("description", None)


def _status_schema() -> Schema:
    """Lists are atomic: list-map keys doubled a large status in managedFields."""
    schema = structural(TrainingJobStatus.model_json_schema(by_alias=True))
    for node in _nodes(schema):
        node.pop("default", None)
        node.pop("required", None)
        if node.get("type") == "array":
            node["x-kubernetes-list-type"] = "atomic"
    return schema


def structural(schema: Mapping[str, Any]) -> Schema:
    """A pydantic JSON schema as a structural OpenAPI v3 one: no references, no `anyOf`."""
    return _convert(schema, schema.get("$defs", {}), in_union=False)


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Any], *, in_union: bool) -> Schema:
    node, optional = _resolve(node, definitions)
    converted = {key: value for key, value in node.items() if key in _KEPT_KEYWORDS}
    _as_open_api(converted, node)
    in_union = in_union or ("type" in node.get("properties", {}) and _has_members(node))
    if in_union or optional or node.get("type") in ("object", "array"):
        converted.pop("default", None)
    if "properties" in node:
        converted["properties"] = {
            name: _convert(child, definitions, in_union=in_union)
            for name, child in node["properties"].items()
        }
    if isinstance(values := node.get("additionalProperties"), Mapping):
        converted["additionalProperties"] = _convert(values, definitions, in_union=in_union)
    if "items" in node:
        converted["items"] = _convert(node["items"], definitions, in_union=in_union)
    return converted


def _resolve(
    node: Mapping[str, Any], definitions: Mapping[str, Any]
) -> tuple[Mapping[str, Any], bool]:
    """Follow references and take the value out of `value | null`; True if null was allowed."""
    optional = False
    while True:
        if "$ref" in node:
            target = definitions[node["$ref"].rsplit("/", 1)[-1]]
            node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        elif "anyOf" in node:
            (value,) = (choice for choice in node["anyOf"] if choice.get("type") != "null")
            rest = {key: item for key, item in node.items() if key != "anyOf"}
            node, optional = {**value, **rest}, True
        else:
            return node, optional


def _has_members(node: Mapping[str, Any]) -> bool:
    rules = node.get("x-kubernetes-validations", [])
    return any("may be set only with type" in rule["message"] for rule in rules)


def _as_open_api(converted: Schema, node: Mapping[str, Any]) -> None:
    """OpenAPI v3.0 spells some keywords of JSON schema in its own way."""
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if exclusive in node:
            converted |= {bound: node[exclusive], exclusive: True}
    if "const" in node:
        converted |= {"enum": [node["const"]], "type": "string"}
    if "description" in converted:
        converted["description"] = " ".join(converted["description"].split())


def _forbid_changes(schema: Schema, path: tuple[str, ...]) -> None:
    """Say with CEL that nothing changes but `_MUTABLE`, on the lowest node that can say it."""
    required = schema.get("required", [])
    for name, child in schema["properties"].items():
        here = (*path, name)
        if here in _MUTABLE:
            continue
        if any(mutable[: len(here)] == here for mutable in _MUTABLE):
            _forbid_changes(child, here)
            continue
        _add_rule(child, "self == oldSelf", f"{'.'.join(here)} cannot change after creation")
        if name not in required and "default" not in child:
            rule = f"has(self.{name}) == has(oldSelf.{name})"
            _add_rule(schema, rule, f"{'.'.join(here)} cannot change after creation")
    if path == _LOWER_ONLY[:-1]:
        quorum = schema["properties"][_LOWER_ONLY[-1]]
        _add_rule(quorum, "self <= oldSelf", "the quorum may only fall")
        _add_rule(schema, "has(self.quorum) || !has(oldSelf.quorum)", "the quorum may only fall")


def _add_rule(schema: Schema, rule: str, message: str) -> None:
    rules = schema.setdefault("x-kubernetes-validations", [])
    rules.append({"rule": rule, "message": message})


def _nodes(schema: Schema) -> Iterator[Schema]:
    yield schema
    for child in schema.get("properties", {}).values():
        yield from _nodes(child)
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _nodes(schema[key])
