"""What to merge and how: as it is asked for, checked, and as it stands in the result's header."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atoll_worker.errors import BadDataError
from atoll_worker.merge.methods import METHODS, Entry, Options

DTYPES: Final = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
"""What a result may be converted to, and what safetensors calls it."""


@dataclass(frozen=True)
class Recipe:
    """How to merge which models."""

    models: tuple[Path, ...]
    method: str = "mean"
    base: Path | None = None
    weights: tuple[float, ...] | None = None
    """One for each model; equal ones if None."""
    density: float | None = None
    seed: int | None = None
    t: float | None = None

    @property
    def entry(self) -> Entry:
        """The method."""
        return METHODS[self.method]

    @property
    def given(self) -> dict[str, object]:
        """The options that were given, by name."""
        options = {it: getattr(self, it) for it in ("weights", "density", "seed", "t")}
        return {name: value for name, value in options.items() if value is not None}

    @property
    def sources(self) -> tuple[Path, ...]:
        """All that is read; the base first, if there is one."""
        return self.models if self.base is None else (self.base, *self.models)

    def options(self) -> Options:
        """What the method is told, all filled in.

        Raises:
            BadDataError: models, base or options are not what the method needs.
        """
        _check(self)
        equal = (1.0,) * len(self.models)
        return Options(**{"weights": equal, **self.given})  # type: ignore[arg-type]

    def document(self, digests: Sequence[str]) -> str:
        """For the header: JSON of the method, what it was told, and the models in their order.

        Args:
            digests: Of `sources`; see `contents.digest_of`.
        """
        told = self.options()
        named = [
            {"name": path.resolve().name, "digest": digest}
            for path, digest in zip(self.sources, digests, strict=True)
        ]
        document: dict[str, object] = {"method": self.method}
        document |= {name: getattr(told, name) for name in self.entry.uses}
        if self.base is not None:
            document["base"] = named.pop(0)
        return json.dumps({**document, "models": named}, sort_keys=True)


def _check(recipe: Recipe) -> None:
    entry, count = recipe.entry, len(recipe.models)
    if count < 2:
        raise BadDataError(f"{count} model to merge: give at least two")
    if entry.models not in (None, count):
        raise BadDataError(f"{recipe.method} merges {entry.models} models, not {count}")
    if entry.needs_base and recipe.base is None:
        raise BadDataError(
            f"{recipe.method} merges changes against a base: name the model that all of them were "
            "trained from with --base"
        )
    given: Mapping[str, object] = {**recipe.given, **({"base": 1} if recipe.base else {})}
    used = entry.uses | ({"base"} if entry.needs_base else set())
    for name in sorted(given.keys() - used):
        able = [method for method, it in METHODS.items() if name in it.uses or _takes(it, name)]
        raise BadDataError(f"--{name} is of no use to {recipe.method}: it is for {', '.join(able)}")


def _takes(entry: Entry, name: str) -> bool:
    return name == "base" and entry.needs_base
