"""How an operator is set up: read from its environment, once, as the chart writes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from atoll_operator.errors import SettingsError
from atoll_telemetry import logs, tracing
from atoll_telemetry.logs import LogSettings, LogSettingsError

PREFIX: Final = "ATOLL_"
HEALTH_PORT: Final = 9464
_LOG: Final = LogSettings(format="json")
_SAMPLING: Final = ("OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG")


@dataclass(frozen=True)
class OperatorSettings:
    """Everything that a chart may change."""

    worker_image: str
    """Of processes whose job names none."""
    namespace: str
    """Of the operator: its Lease and its authority are there."""
    pod: str
    """Its own name, for the Lease and the events."""
    labels: Mapping[str, str]
    """Of the operator's pods: hubs let them in."""
    namespaces: tuple[str, ...] = ()
    """Whose jobs it runs; all of them when empty."""
    lease: str = "atoll-operator"
    authority: str = "atoll-operator-authority"
    """The Secret of the authority that hubs trust."""
    metrics_from: tuple[Mapping[str, Any], ...] = ()
    """Peers of network policies that may scrape metrics."""
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    fs_group: int | None = 65532
    workers: int = 16
    """Jobs looked at at the same time."""
    poll_seconds: float = 5.0
    """Between two questions to one hub."""
    health_port: int = HEALTH_PORT
    object_metrics: bool = True
    """Whether the state of each job is a metric."""
    scrape_annotations: bool = False
    """Whether pods of jobs say `prometheus.io/scrape`."""
    log: LogSettings = _LOG
    """Of the operator, and of the pods of jobs."""
    tracing: Mapping[str, str] = field(default_factory=dict)
    """Where traces go, as variables of OpenTelemetry; empty where nobody asked for them."""
    tracing_to: tuple[Mapping[str, Any], ...] = ()
    """Peers of network policies that take traces."""


def read(environment: Mapping[str, str]) -> OperatorSettings:
    """The settings in an environment; empty is the same as not there.

    Raises:
        SettingsError: one is missing, or is not what it should be.
    """
    found = {name.removeprefix(PREFIX): it for name, it in environment.items() if it.strip()}
    known: dict[str, Any] = {
        "worker_image": _required(found, "WORKER_IMAGE"),
        "namespace": _required(found, "OPERATOR_NAMESPACE"),
        "pod": _required(found, "OPERATOR_POD"),
        "labels": _json(found, "OPERATOR_LABELS", dict, {}),
        "namespaces": _list(found, "NAMESPACES"),
        "metrics_from": tuple(_json(found, "METRICS_FROM", list, [])),
        "image_pull_policy": found.get("IMAGE_PULL_POLICY"),
        "image_pull_secrets": _list(found, "IMAGE_PULL_SECRETS"),
        "log": _log(environment),
        "tracing": _tracing(environment),
        "tracing_to": tuple(_json(found, "TRACING_TO", list, [])),
    }
    for setting, name in (("lease", "LEASE"), ("authority", "AUTHORITY_SECRET")):
        if name in found:
            known[setting] = found[name]
    for setting, name in (("workers", "WORKERS"), ("health_port", "HEALTH_PORT")):
        if name in found:
            known[setting] = _number(found, name)
    for setting, name in (
        ("object_metrics", "METRICS_OBJECTS"),
        ("scrape_annotations", "SCRAPE_ANNOTATIONS"),
    ):
        if name in found:
            known[setting] = _flag(found, name)
    if "POLL_SECONDS" in found:
        known["poll_seconds"] = float(_number(found, "POLL_SECONDS"))
    if "FS_GROUP" in found:
        known["fs_group"] = None if found["FS_GROUP"] == "none" else _number(found, "FS_GROUP")
    return OperatorSettings(**known)


def _log(environment: Mapping[str, str]) -> LogSettings:
    try:
        return logs.read(environment, _LOG)
    except LogSettingsError as error:
        raise SettingsError(str(error)) from error


def _tracing(environment: Mapping[str, str]) -> dict[str, str]:
    """What pods of jobs are told. No headers: whoever may read pods would read the token there.

    The sampler too, for all processes of a job have to decide alike.
    """
    where = tracing.endpoint(environment)
    if not where:
        return {}
    try:
        tracing.address_of(where)
    except ValueError as error:
        raise SettingsError(f"{where!r} is no address of a collector: {error}") from error
    passed = (*tracing.ENDPOINTS, *_SAMPLING)
    return {name: environment[name] for name in passed if environment.get(name, "").strip()}


def _required(found: Mapping[str, str], name: str) -> str:
    if name not in found:
        raise SettingsError(f"{PREFIX}{name} is not set: the chart sets it")
    return found[name]


def _list(found: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in found.get(name, "").split(","))))


def _number(found: Mapping[str, str], name: str) -> int:
    try:
        value = int(found[name])
    except ValueError:
        value = -1
    if value < 1:
        raise SettingsError(f"{PREFIX}{name} is {found[name]!r}: say a number from 1 on")
    return value


def _flag(found: Mapping[str, str], name: str) -> bool:
    if found[name] not in ("true", "false"):
        raise SettingsError(f"{PREFIX}{name} is {found[name]!r}: say true or false")
    return found[name] == "true"


def _json(found: Mapping[str, str], name: str, kind: type, default: Any) -> Any:
    if name not in found:
        return default
    try:
        value = json.loads(found[name])
    except ValueError:
        value = None
    if not isinstance(value, kind):
        raise SettingsError(f"{PREFIX}{name} is no JSON {kind.__name__}: {found[name][:60]}")
    return value
