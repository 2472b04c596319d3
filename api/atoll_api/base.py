"""The one base of every document Atoll reads or writes.

Documents are frozen and strict at the edge: parsed once, then trusted. Field names are
snake_case in Python and camelCase on the wire.
"""

import difflib
import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

T = TypeVar("T")
Items = Annotated[tuple[T, ...], Field(strict=False)]
"""A frozen list: documents write it as a list, which strict parsing takes for no tuple."""


@dataclass(frozen=True)
class CelRule:
    """One `x-kubernetes-validations` entry on the node of the class that declares it."""

    rule: str
    message: str


class FrozenModel(BaseModel):
    """Frozen, strict, and without unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    cel_rules: ClassVar[tuple["CelRule", ...]] = ()
    """What the API server checks on this node, beyond the schema."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema with this node's CEL rules."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        if rules := cls._all_cel_rules():
            schema["x-kubernetes-validations"] = [
                {"rule": rule.rule, "message": rule.message} for rule in rules
            ]
        return schema

    @classmethod
    def _all_cel_rules(cls) -> tuple["CelRule", ...]:
        return cls.cel_rules

    @classmethod
    def from_document(cls, document: object) -> Self:
        """Parse a document with wire (camelCase) names only.

        Raises:
            pydantic.ValidationError: with every problem of the document, not only the first.
        """
        return cls.model_validate(document, by_alias=True, by_name=False)

    def to_document(self) -> dict[str, Any]:
        """The document in wire names, ready for JSON; fields without a value are left out."""
        return self.model_dump(mode="json", exclude_none=True)


class TaggedUnion(FrozenModel):
    """A union whose `type` names the one member field that may be set.

    `members` maps each value of `type` to the field that carries its settings, or to None
    for a variant without settings. The named member is filled with its defaults when absent
    or null, which is the same to an API server; any other member is a problem, reported beside
    the problems of its siblings.
    """

    members: ClassVar[dict[str, str | None]] = {}

    @classmethod
    def _all_cel_rules(cls) -> tuple[CelRule, ...]:
        if len(cls.members) == 1:  # its one member has no wrong place
            return cls.cel_rules
        fields = sorted({field for field in cls.members.values() if field})
        needed = filter(cls._is_needed, fields)
        rules = (*map(cls._member_rule, fields), *map(cls._needed_rule, needed))
        return rules + cls.cel_rules

    @classmethod
    def _is_needed(cls, field: str) -> bool:
        """Whether a member cannot be filled with its defaults."""
        kinds = get_args(cls.model_fields[field].annotation)
        return any(
            it.is_required()
            for kind in kinds
            if isinstance(kind, type) and issubclass(kind, BaseModel)
            for it in kind.model_fields.values()
        )

    @classmethod
    def _needed_rule(cls, field: str) -> CelRule:
        owner = next(value for value, member in cls.members.items() if member == field)
        name, default = to_camel(field), cls.model_fields["type"].default
        other = f"self.type != '{owner}'"
        if isinstance(default, str):
            other = f"!has(self.type) || {other}"
        return CelRule(rule=f"{other} || has(self.{name})", message=f"type {owner} needs {name}")

    @classmethod
    def _member_rule(cls, field: str) -> CelRule:
        owner = next(value for value, member in cls.members.items() if member == field)
        default = cls.model_fields["type"].default
        chosen = f"self.type == '{owner}'"
        if owner == default:  # the type may be left out
            chosen = f"!has(self.type) || {chosen}"
        elif isinstance(default, str):
            chosen = f"has(self.type) && {chosen}"
        name = to_camel(field)
        return CelRule(
            rule=f"!has(self.{name}) || ({chosen})",
            message=f"{name} may be set only with type {owner}",
        )

    @model_validator(mode="wrap")
    @classmethod
    def _only_the_named_member(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        named, misplaced = cls._split_members(data)
        problems = [cls._misplaced(field, data) for field in misplaced]
        try:
            value = handler(named)
        except ValidationError as error:
            problems += [_as_init_details(line) for line in error.errors()]
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return value

    @classmethod
    def _split_members(cls, data: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        default = cls.model_fields["type"].default
        chosen = data.get("type", default if isinstance(default, str) else None)
        if not isinstance(chosen, str) or chosen not in cls.members:
            return data, []  # the wrong `type` is the problem to report; its members are not
        own = cls.members[chosen]
        others = {field for field in cls.members.values() if field not in (None, own)}
        misplaced = [key for key in data if _snake(cls, key) in others and data[key] is not None]
        named = {key: value for key, value in data.items() if key not in misplaced}
        if own is not None and all(data[key] is None for key in named if _snake(cls, key) == own):
            named = {key: value for key, value in named.items() if _snake(cls, key) != own}
            named[to_camel(own)] = {}
        return named, misplaced

    @classmethod
    def _misplaced(cls, field: str, data: dict[str, Any]) -> InitErrorDetails:
        chosen = str(data.get("type", cls.model_fields["type"].default))
        own = cls.members[chosen]
        hint = f"only `{to_camel(own)}` may be set" if own else "it takes no settings"
        kind = PydanticCustomError(
            "union_member",
            "not allowed beside type {chosen}: {hint}",
            {"chosen": chosen, "hint": hint},
        )
        return InitErrorDetails(type=kind, loc=(field,), input=data[field])


def closest(word: str, known: list[str]) -> str | None:
    """The known word that was probably meant, or None."""
    folded = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


def shown(value: object) -> str:
    """A value as it stands in a message for people: short, and without a URL's credentials."""
    text = _CREDENTIALS.sub("://***@", repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


_CREDENTIALS = re.compile(r"://.*@")
"""What a URL must not hold goes to no terminal and no log either."""


def _snake(model: type[FrozenModel], key: str) -> str:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            return name
    return key


def _as_init_details(line: Any) -> InitErrorDetails:
    """Rebuild one reported problem so that it can be raised again among others."""
    context = line.get("ctx", {})
    if line["type"] in _KNOWN_WITHOUT_REBUILD:
        return InitErrorDetails(
            type=line["type"], loc=line["loc"], input=line["input"], ctx=context
        )
    message = line["msg"].replace("{", "(").replace("}", ")")
    kind = PydanticCustomError(line["type"], message, context or None)
    return InitErrorDetails(type=kind, loc=line["loc"], input=line["input"])


# Problems that `problems.py` explains from their type and context.
_KNOWN_WITHOUT_REBUILD = frozenset({"missing", "extra_forbidden"})
