"""Rules of templates and of the network: what the API server would refuse of a pod, said before."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from atoll_api.environment import THREAD_VARIABLES
from atoll_api.names import (
    ENV_COMPLETION_INDEX,
    ISLAND,
    RESERVED_ENV_PREFIX,
    RESERVED_VOLUME_PREFIX,
    Role,
    is_reserved_key,
)
from atoll_api.resolved_job import RESERVED_FOLDERS
from atoll_api.rules import nodes
from atoll_api.rules.finding import Finding
from atoll_api.spec.data import ISLAND_NUMBER
from atoll_api.spec.job import TrainingJobSpec
from atoll_api.spec.template import EnvironmentVariable, PodTemplate, Volume
from atoll_api.templates import merged


@dataclass(frozen=True)
class _Layer:
    """A template, and what lies below it."""

    field: str
    template: PodTemplate
    below: PodTemplate
    of_islands: bool


def violations(spec: TrainingJobSpec) -> Iterator[Finding]:
    """What cannot work."""
    yield from _twice("roles", [it.role for it in spec.roles], "role")
    yield from _absent_roles(spec)
    for layer in _layers(spec):
        for rule in _RULES:
            yield from rule(layer)
        for of_layer in (nodes.resource_names, nodes.tolerations):
            yield from of_layer(layer.field, layer.template)
        yield from _new(layer, _shared_paths)
        yield from _new(layer, nodes.amounts)
    yield from _shared_template(spec)
    if spec.network.isolation == "Open" and spec.network.egress:
        yield Finding(
            "network.egress", "has no effect with isolation Open: all is allowed", "leave it out"
        )


def warnings(spec: TrainingJobSpec) -> Iterator[Finding]:
    """What works and is probably not wanted, on a cluster."""
    network, storage = spec.network, spec.artifacts.storage
    if storage.type == "ObjectStore" and network.isolation == "Enforced" and not network.egress:
        yield Finding(
            "network.egress",
            "on a cluster whose network enforces policies, the hub cannot reach its object store: "
            "isolation is Enforced, and nothing outside of the job is allowed",
            "say egress: [{cidr: ..., ports: [443]}] with the store's addresses, 0.0.0.0/0 if they "
            "are not known, or isolation: Open",
        )


def _absent_roles(spec: TrainingJobSpec) -> Iterator[Finding]:
    """Templates of pods that the job does not have."""
    ensemble = spec.strategy.expert_ensemble
    said: dict[Role, str] = {}
    if not spec.baseline.enabled:
        said["baseline"] = "say baseline: {enabled: true}, or leave it out"
    if ensemble is None:
        said |= dict.fromkeys(("seed", "router"), "leave it out")
    else:
        said["merge"] = "leave it out"
        if not ensemble.seed_steps:
            said["seed"] = "say expertEnsemble: {seedSteps: ...}, or leave it out"
        if ensemble.router.type != "Learned":
            said["router"] = "leave it out: only a Learned router has a pod"
    for number, it in enumerate(spec.roles):
        if it.role in said:
            message = f"this job of {spec.strategy.type} has no {it.role}"
            yield Finding(f"roles[{number}].role", message, said[it.role])


def _layers(spec: TrainingJobSpec) -> Iterator[_Layer]:
    base = spec.template or PodTemplate()
    if spec.template:
        yield _Layer("template", base, PodTemplate(), of_islands=False)
    of_island = base
    for number, it in enumerate(spec.roles):
        is_island = it.role == ISLAND
        yield _Layer(f"roles[{number}].template", it.template, base, is_island)
        of_island = merged(base, it.template) if is_island else of_island
    if spec.islands.template:
        yield _Layer("islands.template", spec.islands.template, of_island, of_islands=True)
        of_island = merged(of_island, spec.islands.template)
    for number, over in enumerate(spec.islands.overrides):
        if over.template:
            field = f"islands.overrides[{number}].template"
            yield _Layer(field, over.template, of_island, of_islands=True)


def _shared_template(spec: TrainingJobSpec) -> Iterator[Finding]:
    """Islands that merge are one Job, so that a queue admits all of them or none."""
    if spec.strategy.type == "ExpertEnsemble":
        return
    for number, it in enumerate(spec.islands.overrides):
        if it.template:
            yield Finding(
                f"islands.overrides[{number}].template",
                f"with {spec.strategy.type} all islands share one template",
                f"say islands.template, with {ISLAND_NUMBER} in values of env where they differ",
            )


def _env(layer: _Layer) -> Iterator[Finding]:
    variables = layer.template.env
    yield from _twice(f"{layer.field}.env", [it.name for it in variables], "name")
    for number, it in enumerate(variables):
        field = f"{layer.field}.env[{number}]"
        yield from _variable(field, it)
        if not layer.of_islands and it.value is not None and ISLAND_NUMBER in it.value:
            yield Finding(
                f"{field}.value",
                f"names {ISLAND_NUMBER}, but not all of its pods are islands",
                "say it in islands.template",
            )


def _variable(field: str, it: EnvironmentVariable) -> Iterator[Finding]:
    source = it.value_from
    if (it.value is None) == (source is None):
        yield Finding(field, f"{it.name} has {_how_many(source)} value and valueFrom", "say one")
    if source and (source.secret_key_ref is None) == (source.config_map_key_ref is None):
        how_many = _how_many(source.secret_key_ref)
        yield Finding(
            f"{field}.valueFrom", f"has {how_many} secretKeyRef and configMapKeyRef", "say one"
        )
    if it.name in THREAD_VARIABLES:
        yield Finding(
            f"{field}.name",
            f"{it.name} is a part of the result, and follows islands.threads",
            "say islands.threads",
        )
    elif it.name.startswith(RESERVED_ENV_PREFIX) or it.name == ENV_COMPLETION_INDEX:
        yield Finding(f"{field}.name", f"{it.name} is reserved", "choose another name")


def _how_many(one: object) -> str:
    return "neither of" if one is None else "both"


def _volumes(layer: _Layer) -> Iterator[Finding]:
    volumes = layer.template.volumes
    yield from _twice(f"{layer.field}.volumes", [it.name for it in volumes], "name")
    for number, it in enumerate(volumes):
        yield from _volume(f"{layer.field}.volumes[{number}]", it)


def _volume(field: str, it: Volume) -> Iterator[Finding]:
    given = [source for source in it.sources if source is not None]
    if len(given) != 1:
        yield Finding(field, f"{it.name} has {len(given)} sources", f"say one of {it.SOURCES}")
    if it.name.startswith(RESERVED_VOLUME_PREFIX):
        hint = f"choose one that does not begin with {RESERVED_VOLUME_PREFIX}"
        yield Finding(f"{field}.name", f"{it.name} is reserved", hint)
    if ".." in it.mount_path.split("/"):
        yield Finding(f"{field}.mountPath", f"{it.mount_path} has a ..", "name the folder itself")
    for folder in RESERVED_FOLDERS:
        if _within(it.mount_path, folder) or _within(folder, it.mount_path):
            yield Finding(
                f"{field}.mountPath",
                f"{it.mount_path} would hide {folder}, which Atoll needs",
                "say another folder, such as /data",
            )
    if it.sub_path and ".." in it.sub_path.split("/"):
        yield Finding(f"{field}.subPath", f"{it.sub_path} has a ..", "name the folder itself")


def _within(path: str, folder: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")


def _pull_secrets(layer: _Layer) -> Iterator[Finding]:
    given = [it.name for it in layer.template.image_pull_secrets]
    yield from _twice(f"{layer.field}.imagePullSecrets", given, "name")


def _metadata(layer: _Layer) -> Iterator[Finding]:
    template = layer.template
    for what, given in (("labels", template.labels), ("annotations", template.annotations)):
        for key in filter(is_reserved_key, given):
            yield Finding(f"{layer.field}.{what}.{key}", "is reserved", "choose another key")


_RULES: tuple[Callable[[_Layer], Iterator[Finding]], ...] = (
    _env,
    _volumes,
    _pull_secrets,
    _metadata,
)


def _twice(field: str, given: list[str], key: str) -> Iterator[Finding]:
    for number, name in enumerate(given):
        if name in given[:number]:
            yield Finding(f"{field}[{number}].{key}", f"{name} stands twice", "name each once")


def _new(layer: _Layer, rule: Callable[[str, PodTemplate], Iterator[Finding]]) -> Iterator[Finding]:
    """What is wrong with a layer and those below it together, and was not without it."""
    told = partial(rule, layer.field)
    known = set(told(layer.below))
    yield from (it for it in told(merged(layer.below, layer.template)) if it not in known)


def _shared_paths(field: str, template: PodTemplate) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for it in template.volumes:
        path = it.mount_path.rstrip("/")
        if path in seen:
            yield Finding(
                f"{field}.volumes",
                f"{seen[path]} and {it.name} are both mounted at {path}",
                "mount one of them elsewhere",
            )
        seen[path] = it.name
