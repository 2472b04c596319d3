"""A YAML's problems, all of them at once: path, value, accepted values, and a hint.

`parse_job` is the only door through which a user's document enters.
"""

import copy
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from atoll_api import names, rules
from atoll_api.base import closest, shown
from atoll_api.spec import TrainingJob, TrainingJobSpec
from atoll_api.spec.object_names import (
    KEY_PATTERN,
    LABEL_PATTERN,
    LABEL_VALUE_PATTERN,
    SUBDOMAIN_PATTERN,
)
from atoll_api.units import BYTE_COUNT_HINT, QUANTITY_HINT, QUANTITY_PATTERN

Location = tuple[str | int, ...]
MAX_DEPTH: Final = 100
MAX_VALUES: Final = 1_000_000
"""Of a document: more than a job of 1,000 islands has, each with a template of its own."""


@dataclass(frozen=True)
class Problem:
    """One problem of one field."""

    path: str
    """As a user would write it: `spec.islands.count`, `spec.evaluation.strategies[1]`."""
    message: str
    """What is wrong, with the value and the accepted ones."""
    hint: str = ""
    """What was probably meant, or what to do."""

    def __str__(self) -> str:
        """One line."""
        return f"{self.path}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class InvalidJobError(ValueError):
    """A document that is no valid TrainingJob."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


def parse_job(document: object) -> TrainingJob:
    """Parse and check a TrainingJob.

    Raises:
        InvalidJobError: with every problem found. Rules across fields are checked on what
            remains when the broken fields are left out.
    """
    _require_readable(document)
    try:
        job = TrainingJob.from_document(document)
    except ValidationError as error:
        lines = [_at_its_key(line) for line in error.errors(include_url=False)]
        problems = [_explain(line) for line in lines]
        rest = _parse_without(document, lines)
        if rest is not None:
            broken = {problem.path for problem in problems}
            problems += [p for p in _rule_problems(rest) if p.path not in broken]
        raise InvalidJobError(problems) from error
    if problems := _rule_problems(job):
        raise InvalidJobError(problems)
    return job


def _require_readable(document: object) -> None:
    """See that a document can be looked through: whatever copies or shows it goes down by recursion.

    YAML's references make more values of a line than there are atoms: each use counts.

    Raises:
        InvalidJobError: it is too deep or too large, or has text that no file can hold.
    """
    rest, count = [(document, 0)], 0
    while rest:
        node, depth = rest.pop()
        if isinstance(node, str) and not _is_text(node):
            said = f"{shown(node)} is no text: it holds half of a pair of surrogates"
            raise InvalidJobError([Problem("the document", said)])
        children = _children(node)
        count += 1 + len(children)
        if depth > MAX_DEPTH or count > MAX_VALUES:
            limit = f"{MAX_DEPTH} levels" if depth > MAX_DEPTH else f"{MAX_VALUES} values"
            raise InvalidJobError([Problem("the document", f"has more than {limit}")])
        rest.extend((child, depth + 1) for child in children)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _children(node: object) -> Collection[object]:
    if isinstance(node, Mapping):
        return (*node, *node.values())
    return node if isinstance(node, list | tuple) else ()


def warnings(spec: TrainingJobSpec, *, on_cluster: bool = True) -> list[Problem]:
    """What is allowed and probably not wanted; on a laptop less can go wrong."""
    found = rules.warnings_of_clusters(spec) if on_cluster else rules.warnings(spec)
    return [_as_problem(finding) for finding in found]


def _rule_problems(job: TrainingJob) -> list[Problem]:
    return [_as_problem(finding) for finding in rules.violations(job.spec)]


def _as_problem(finding: rules.Finding) -> Problem:
    return Problem(path=f"spec.{finding.field}", message=finding.message, hint=finding.hint)


def _at_its_key(line: ErrorDetails) -> Mapping[str, Any]:
    """A key that is not accepted: pydantic says so one level below."""
    location: Location = line["loc"]
    return {**line, "loc": location[:-1] if location[-1:] == ("[key]",) else location}


def _parse_without(document: object, lines: Sequence[Mapping[str, Any]]) -> TrainingJob | None:
    """The job with the broken fields left to their defaults; None where that is not enough."""
    rest = copy.deepcopy(document)
    for line in lines:
        _mend(rest, line)
    try:
        return TrainingJob.from_document(rest)
    except ValidationError:
        return None


def _mend(node: Any, line: Mapping[str, Any]) -> None:
    """Take a field out, or say the first accepted word; a broken item takes its list along."""
    location: Location = line["loc"]
    in_list = bool(location) and isinstance(location[-1], int)
    while location and isinstance(location[-1], int):
        location = location[:-1]
    for part in location[:-1]:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return
    if not isinstance(node, dict) or not location:
        return
    if line["type"] == "literal_error" and not in_list:
        node[location[-1]] = _accepted(line)[0]
    else:
        node.pop(location[-1], None)


def _accepted(line: Mapping[str, Any]) -> list[str]:
    """The words of a literal, out of pydantic's sentence of them: `'A', 'B' or 'C'`."""
    words: str = line["ctx"]["expected"]
    return [word.strip(" '") for word in words.replace(" or ", ", ").split(",")]


def _explain(line: Mapping[str, Any]) -> Problem:
    """One pydantic error as a problem a user can act on."""
    location: Location = line["loc"]
    path = _path(location)
    value = line.get("input")
    if line["type"] == "extra_forbidden":
        return _unknown_key(location)
    if line["type"] == "missing":
        return Problem(path, "is required", _missing_hint(location))
    if line["type"] == "literal_error":
        accepted = _accepted(line)
        return Problem(
            path,
            f"{shown(value)} is not accepted; accepted: {', '.join(accepted)}",
            _meant(value, accepted),
        )
    if line["type"] == "union_member":
        return Problem(path, line["msg"])
    if line["type"] == "string_pattern_mismatch":
        return Problem(
            path,
            f"{shown(value)} is not accepted",
            _PATTERN_HINTS.get(path) or _pattern_hint(line["ctx"]["pattern"]),
        )
    message = line["msg"].removeprefix("Input ").removeprefix("Value error, ")
    if line["type"] in ("model_type", "dict_type"):
        message = "should be a mapping"
    return Problem(path, f"{shown(value)}: {message}", _TYPE_HINTS.get(line["type"], ""))


def _pattern_hint(pattern: str) -> str:
    return _HINTS_OF_PATTERNS.get(pattern, f"must match {pattern}")


_HINTS_OF_PATTERNS = {
    QUANTITY_PATTERN: QUANTITY_HINT,
    KEY_PATTERN: "letters, digits, '-', '_' and '.', and before a / a domain: example.org/team",
    LABEL_VALUE_PATTERN: "letters, digits, '-', '_' and '.', at most 63 of them",
    LABEL_PATTERN: "lower-case letters, digits and '-'",
    SUBDOMAIN_PATTERN: "lower-case letters, digits, '-' and '.'",
}


_PATTERN_HINTS = {
    "metadata.name": "lower-case letters, digits and '-', beginning with a letter",
    "spec.data.source": "say builtin://digits, or file:// and the path of a folder of images, an .npz or a .safetensors file",
    "spec.task.custom.entrypoint": "say package.module:ClassName",
    "spec.artifacts.quota": BYTE_COUNT_HINT,
    "spec.artifacts.storage.persistentVolumeClaim.size": BYTE_COUNT_HINT,
}
_TYPE_HINTS = {
    "int_type": "a whole number, without quotes or a decimal point",
    "float_type": "a number, without quotes",
    "bool_type": "true or false, without quotes",
    "string_type": "text; quote it if it looks like a number",
    "model_type": "lines of `key: value`, indented below it",
    "dict_type": "lines of `key: value`, indented below it",
    "tuple_type": "a list",
}


def _unknown_key(location: Location) -> Problem:
    known = known_keys(location[:-1])
    guess = closest(str(location[-1]), known)
    hint = f"did you mean {guess}?" if guess else ""
    accepted = ", ".join(known) or "nothing"
    return Problem(_path(location), f"unknown key; accepted here: {accepted}", hint)


def _missing_hint(location: Location) -> str:
    if location == ("apiVersion",):
        return f"say {names.API_VERSION}"
    if location == ("kind",):
        return f"say {names.KIND}"
    return ""


def _meant(value: object, accepted: list[str]) -> str:
    guess = closest(str(value), accepted)
    return f"did you mean {guess}?" if guess else ""


def _path(location: Location) -> str:
    path = ""
    for part in location:
        plain = isinstance(part, str) and _PLAIN_KEY.fullmatch(part)
        path += f".{part}" if plain else f"[{shown(part)}]"
    return path.lstrip(".") or "the document"


_PLAIN_KEY = re.compile(r"[A-Za-z0-9_./-]{1,317}")
"""As long as the longest key that Kubernetes takes; another is shown in short."""


def known_keys(location: Location) -> list[str]:
    """The wire names of the fields of the model at a location of a TrainingJob."""
    model = _model_at(TrainingJob, location)
    if model is None:
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[BaseModel] | None, location: Location) -> type[BaseModel] | None:
    for part in location:
        if model is None:
            return None
        if isinstance(part, int):
            continue  # the model is that of an item already
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        field = fields.get(str(part))
        model = _model_in(field.annotation) if field else None
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in `Model`, `Model | None` or a list of models."""
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
