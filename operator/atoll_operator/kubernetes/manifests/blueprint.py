"""What the objects of a job are computed from, and what all of them have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atoll_api import names
from atoll_api.names import Role
from atoll_api.resolved_job import ResolvedJob

Json = dict[str, Any]


@dataclass(frozen=True)
class Collector:
    """Who takes the traces of jobs."""

    peers: tuple[Json, ...]
    """Of network policies."""
    port: int


@dataclass(frozen=True)
class Settings:
    """How an operator is set up: what of it its objects show."""

    version: str
    """Of Atoll."""
    operator_namespace: str
    operator_labels: Mapping[str, str]
    """Of the operator's own pods: who may dial hubs from there."""
    metrics_from: tuple[Json, ...] = ()
    """Peers of network policies that may scrape metrics: `{"namespaceSelector": {...}}`."""
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    """Secrets in the job's namespace."""
    fs_group: int | None = 65532
    """Of the hub's claim: it belongs to root otherwise, and no process of a job is root. None where
    the cluster chooses (OpenShift). Not of other volumes: to give a large data set another group
    takes long, and it is not ours."""
    scrape_annotations: bool = False
    """Whether pods say to a Prometheus that goes by annotations that they have metrics."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of every pod: how it logs, and where its traces go."""
    collector: Collector | None = None
    """Whom every pod may dial for traces, besides."""


@dataclass(frozen=True)
class Blueprint:
    """A job as it was accepted, and how this operator is set up. Equal ones give equal objects."""

    resolved: ResolvedJob
    settings: Settings
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the TrainingJob's metadata."""

    @property
    def job(self) -> str:
        """The name of the TrainingJob."""
        return self.resolved.job.name

    def metadata(self, name: str, role: Role | None = None, island: int | None = None) -> Json:
        """Of an object, which ends with its TrainingJob."""
        return {
            "name": name,
            "namespace": self.resolved.namespace,
            "labels": names.labels(self.job, self.settings.version, role, island),
            "ownerReferences": [self._owner()],
        }

    def _owner(self) -> Json:
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": self.job,
            "uid": self.resolved.job.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
