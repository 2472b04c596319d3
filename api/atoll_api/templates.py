"""Which template a pod gets: the layers of a job's templates, one over the other; pure.

spec.template < spec.roles[role] < spec.islands.template < spec.islands.overrides[island]
"""

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

from atoll_api.names import ISLAND, Role
from atoll_api.spec.job import TrainingJobSpec
from atoll_api.spec.template import PodTemplate, Resources, SecurityContext


def template_of(spec: TrainingJobSpec, role: Role, island: int | None = None) -> PodTemplate:
    """Of the pods of a role, or of one island."""
    return reduce(merged, layers(spec, role, island), PodTemplate())


def layers(spec: TrainingJobSpec, role: Role, island: int | None = None) -> tuple[PodTemplate, ...]:
    """What a job says of these pods, the most general first."""
    islands = spec.islands
    said = [spec.template, *(it.template for it in spec.roles if it.role == role)]
    if role == ISLAND:
        said += [islands.template]
        said += [it.template for it in islands.overrides if it.island == island]
    return tuple(it for it in said if it is not None)


def merged(base: PodTemplate, over: PodTemplate) -> PodTemplate:
    """One template over another: what it says counts, and where it is silent the other does.

    Maps are joined key by key, lists of named things name by name; what `over` says of a name
    replaces all that `base` says of it. Tolerations add up: they are permissions.
    """
    return PodTemplate(
        **{
            field: _MERGES.get(field, _later)(getattr(base, field), getattr(over, field))
            for field in PodTemplate.model_fields
        }
    )


def _later(base: Any, over: Any) -> Any:
    return base if over is None else over


def _joined(base: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    return {**base, **over}


def _by_name(base: Iterable[Any], over: Iterable[Any]) -> tuple[Any, ...]:
    """In the order in which names first appear."""
    return tuple({it.name: it for it in (*base, *over)}.values())


def _added(base: tuple[Any, ...], over: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*base, *(it for it in over if it not in base))


def _resources(base: Resources | None, over: Resources | None) -> Resources | None:
    if base is None or over is None:
        return over or base
    return Resources(
        requests=_joined(base.requests, over.requests), limits=_joined(base.limits, over.limits)
    )


def _context(base: SecurityContext | None, over: SecurityContext | None) -> SecurityContext | None:
    if base is None or over is None:
        return over or base
    return SecurityContext(
        run_as_user=_later(base.run_as_user, over.run_as_user),
        fs_group=_later(base.fs_group, over.fs_group),
    )


_MERGES: Mapping[str, Callable[[Any, Any], Any]] = {
    "image_pull_secrets": _by_name,
    "env": _by_name,
    "volumes": _by_name,
    "node_selector": _joined,
    "labels": _joined,
    "annotations": _joined,
    "tolerations": _added,
    "resources": _resources,
    "security_context": _context,
}
"""Of every other field, the later value counts whole."""
