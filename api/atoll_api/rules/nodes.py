"""Rules of what a template asks of nodes: resources and taints, as a pod has to say them."""

from collections.abc import Iterator
from typing import Final

from atoll_api.rules.finding import Finding
from atoll_api.spec.template import PodTemplate, Resources, Toleration
from atoll_api.units import amount

_STANDARD: Final = ("cpu", "memory", "ephemeral-storage")
_HUGE_PAGES: Final = "hugepages-"


def resource_names(field: str, template: PodTemplate) -> Iterator[Finding]:
    """Of a layer: names that Kubernetes does not know."""
    resources = template.resources or Resources()
    for part, amounts in (("requests", resources.requests), ("limits", resources.limits)):
        for name in amounts:
            if not (name in _STANDARD or name.startswith(_HUGE_PAGES) or "/" in name):
                yield Finding(
                    f"{field}.resources.{part}.{name}",
                    "is no resource of Kubernetes' own",
                    f"say {', '.join(_STANDARD)}, or a device with its domain: nvidia.com/gpu",
                )


def amounts(field: str, template: PodTemplate) -> Iterator[Finding]:
    """Of layers together: what a container may not ask for."""
    resources = template.resources or Resources()
    for name, limit in resources.limits.items():
        wanted = resources.requests.get(name)
        if wanted is not None and amount(wanted) > amount(limit):
            yield Finding(
                f"{field}.resources.requests.{name}",
                f"{wanted} is more than the limit of {limit}",
                f"say {limit} or less",
            )
    for name in {**resources.limits, **resources.requests}:
        if name not in _STANDARD:
            yield from _device(field, name, resources)


def _device(field: str, name: str, resources: Resources) -> Iterator[Finding]:
    """Devices and huge pages are nobody's or whole: nothing is lent."""
    limit, wanted = resources.limits.get(name), resources.requests.get(name)
    said = f"{field}.resources.limits.{name}"
    if limit is None:
        yield Finding(
            said, f"is missing: of {name} a pod has what it may have", "say limits, not requests"
        )
        return
    if wanted is not None and amount(wanted) < amount(limit):
        yield Finding(
            f"{field}.resources.requests.{name}",
            f"{wanted} is less than the limit of {limit}, and {name} is not shared",
            "leave it out",
        )
    if amount(limit) != amount(limit).to_integral_value():
        yield Finding(said, f"{limit} is no whole number of {name}", "say 1 or more")


def tolerations(field: str, template: PodTemplate) -> Iterator[Finding]:
    """Of a layer: those that a pod may not have."""
    for number, it in enumerate(template.tolerations):
        yield from _toleration(f"{field}.tolerations[{number}]", it)


def _toleration(field: str, it: Toleration) -> Iterator[Finding]:
    if it.key is None and it.operator != "Exists":
        hint = "say key, or operator: Exists for all taints"
        yield Finding(f"{field}.key", "is needed where operator is not Exists", hint)
    if it.operator == "Exists" and it.value:
        yield Finding(f"{field}.value", "has no meaning with operator Exists", "leave it out")
    if it.toleration_seconds is not None and it.effect != "NoExecute":
        yield Finding(
            f"{field}.effect", "tolerationSeconds are of NoExecute alone", "say NoExecute"
        )
