"""One object for each CEL rule of the definition that breaks this rule and no other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from builders import job_document

Spec = Mapping[str, Any]
"""As `job_document` takes it: dotted paths."""


@dataclass(frozen=True)
class CelCase:
    """Attributes:

    path: of the node that has the rule.
    message: what the server has to say.
    after: the object that breaks the rule.
    before: what it was, where the rule is about a change.
    """

    path: str
    message: str
    after: dict[str, Any]
    before: dict[str, Any] | None = None

    @property
    def field(self) -> str:
        """Where the server sees it: each list has one item."""
        return self.path.lstrip(".").replace("[]", "[0]")

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def cel_cases() -> Iterator[CelCase]:
    """All of them."""
    yield from _names()
    yield from _members()
    yield from _needed()
    yield from _templates()
    yield from _quorums()
    yield from _changes()
    yield from _additions()


def _names() -> Iterator[CelCase]:
    document = job_document()
    document["metadata"]["name"] = "digits.2"
    message = "the name must be lower-case letters, digits and '-', beginning with a letter, at most 40 characters"
    yield CelCase("", message, document)


_MEMBERS: Final[tuple[tuple[str, str | None, str, str], ...]] = (
    ("task", "Custom", "classification", "Classification"),
    ("task", "Diffusion", "custom", "Custom"),
    ("task", "Custom", "diffusion", "Diffusion"),
    ("task", "Diffusion", "language", "Language"),
    ("task.diffusion.architecture", "MLP", "dit", "DiT"),
    ("task.diffusion.architecture", "DiT", "mlp", "MLP"),
    ("task.classification.architecture", "MLP", "cnn", "CNN"),
    ("task.classification.architecture", "CNN", "mlp", "MLP"),
    ("task.classification.architecture", None, "resNet20", "ResNet20"),
    ("partition", None, "dirichlet", "Dirichlet"),
    ("partition", "Random", "featureClusters", "FeatureClusters"),
    ("partition", "ByClass", "textClusters", "TextClusters"),
    ("strategy", "SingleMerge", "expertEnsemble", "ExpertEnsemble"),
    ("strategy", "ExpertEnsemble", "iterativeMerge", "IterativeMerge"),
    ("strategy", "IterativeMerge", "singleMerge", "SingleMerge"),
    ("strategy.expertEnsemble.router", "Learned", "centroid", "Centroid"),
    ("strategy.expertEnsemble.router", "Centroid", "learned", "Learned"),
    ("strategy.expertEnsemble.router", None, "likelihood", "Likelihood"),
    ("strategy.expertEnsemble.combine", "TopK", "threshold", "Threshold"),
    ("strategy.expertEnsemble.combine", "Full", "topK", "TopK"),
    ("strategy.iterativeMerge.topology", "Ring", "edges", "Edges"),
    ("strategy.iterativeMerge.mix", None, "outerNesterov", "OuterNesterov"),
    ("artifacts.storage", "EmptyDir", "objectStore", "ObjectStore"),
    ("artifacts.storage", "ObjectStore", "persistentVolumeClaim", "PersistentVolumeClaim"),
)
"""Of a union: its path, a type (None: left out), a member of another one, and whose that is."""

_REQUIRED: Final[Spec] = {
    "custom": {"entrypoint": "a.b:C"},
    "edges": {"pairs": [[0, 1]]},
    "objectStore": {"url": "s3://bucket"},
}
_PARENTS: Final[Spec] = {
    "task.classification": "Classification",
    "strategy.iterativeMerge": "IterativeMerge",
}


def _members() -> Iterator[CelCase]:
    for path, chosen, member, owner in _MEMBERS:
        spec: dict[str, Any] = {}
        above = path.rpartition(".")[0]
        if above in _PARENTS:
            spec[f"{above.partition('.')[0]}"] = {"type": _PARENTS[above]}
        if chosen is not None:
            spec[f"{path}.type"] = chosen
        for own in (it for _, needing, it in _NEEDED if needing == chosen):
            spec[f"{path}.{own}"] = _REQUIRED[own]
        spec[f"{path}.{member}"] = _REQUIRED.get(member, {})
        message = f"{member} may be set only with type {owner}"
        yield CelCase(f".spec.{path}", message, job_document(**spec))


_NEEDED: Final = (
    ("task", "Custom", "custom"),
    ("strategy.iterativeMerge.topology", "Edges", "edges"),
    ("artifacts.storage", "ObjectStore", "objectStore"),
)
"""Of a union: its path, a type, and the member that has no defaults."""


def _needed() -> Iterator[CelCase]:
    for path, chosen, member in _NEEDED:
        above = {"strategy.type": "IterativeMerge"} if path.startswith("strategy") else {}
        spec: dict[str, Any] = {**above, f"{path}.type": chosen}
        yield CelCase(f".spec.{path}", f"type {chosen} needs {member}", job_document(**spec))


_BOTH: Final = {"name": "n", "key": "k"}
_TEMPLATES: Final[tuple[tuple[str, str, Spec], ...]] = (
    ("env[]", "exactly one of value, valueFrom", {"env": [{"name": "A"}]}),
    (
        "env[]",
        "names that begin with ATOLL_ are reserved",
        {"env": [{"name": "ATOLL_JOB", "value": ""}]},
    ),
    (
        "env[].valueFrom",
        "exactly one of secretKeyRef, configMapKeyRef",
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": _BOTH, "configMapKeyRef": _BOTH}}]},
    ),
    (
        "volumes[]",
        "exactly one source",
        {"volumes": [{"name": "v", "mountPath": "/v", "emptyDir": {}, "secret": {"secretName": "s"}}]},
    ),
)  # fmt: skip
"""In a template: where, what, and a template that breaks the rule."""


def _templates() -> Iterator[CelCase]:
    for path, message, template in _TEMPLATES:
        places: dict[str, Spec] = {
            "template": {"template": template},
            "islands.template": {"islands.template": template},
            "islands.overrides[].template": {
                "islands.overrides": [{"island": 0, "template": template}]
            },
            "roles[].template": {"roles": [{"role": "hub", "template": template}]},
        }
        for place, spec in places.items():
            yield CelCase(f".spec.{place}.{path}", message, job_document(**spec))


def _quorums() -> Iterator[CelCase]:
    three = job_document(**{"islands.quorum": 3})
    too_many = job_document(**{"islands.quorum": 5})
    yield CelCase(".spec.islands", "quorum may not exceed count", too_many)
    falls = "the quorum may only fall"
    yield CelCase(".spec.islands", falls, job_document(), three)
    four = job_document(**{"islands.quorum": 4})
    yield CelCase(".spec.islands.quorum", falls, four, three)


_CHANGES: Final[Mapping[str, tuple[Any, Any]]] = {
    "seed": (1, 2),
    "task": ({"type": "Diffusion"}, {"type": "Classification"}),
    "data": ({"source": "builtin://digits"}, {"source": "builtin://other"}),
    "partition": ({"type": "Random"}, {"type": "ByClass"}),
    "islands.count": (4, 5),
    "islands.maxRestarts": (3, 4),
    "islands.threads": (1, 2),
    "islands.template": ({"image": "a"}, {"image": "b"}),
    "islands.overrides": (
        [{"island": 0, "template": {"image": "a"}}],
        [{"island": 0, "template": {"image": "b"}}],
    ),
    "training": ({"steps": 1}, {"steps": 2}),
    "strategy": ({"type": "ExpertEnsemble"}, {"type": "SingleMerge"}),
    "baseline": ({"enabled": False}, {"enabled": True}),
    "evaluation": ({"seeds": 1}, {"seeds": 2}),
    "exchange": ({"encoding": "Raw"}, {"encoding": "Delta"}),
    "artifacts": ({"keep": "Final"}, {"keep": "All"}),
    "template": ({"image": "a"}, {"image": "b"}),
    "roles": (
        [{"role": "hub", "template": {"image": "a"}}],
        [{"role": "hub", "template": {"image": "b"}}],
    ),
    "network": ({"isolation": "Enforced"}, {"isolation": "Open"}),
    "managedBy": ("example.org/a", "example.org/b"),
}
"""Fields that never change, with two values that the rules of creation let pass."""

_OPTIONAL: Final = (
    "partition", "training", "baseline", "evaluation", "exchange", "artifacts", "template", "roles",
    "network", "managedBy", "islands.template", "islands.overrides",
)  # fmt: skip
"""Those of them that may be left out: whether they are is compared at their parent."""


def _changes() -> Iterator[CelCase]:
    for path, (old, new) in _CHANGES.items():
        message = f"{path} cannot change after creation"
        before, after = job_document(**{path: old}), job_document(**{path: new})
        yield CelCase(f".spec.{path}", message, after, before)


def _additions() -> Iterator[CelCase]:
    for path in _OPTIONAL:
        message = f"{path} cannot change after creation"
        parent = ".".join(("", "spec", *path.split(".")[:-1]))
        yield CelCase(parent, message, job_document(**{path: _CHANGES[path][0]}), job_document())
