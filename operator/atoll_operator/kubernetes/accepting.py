"""Accept a job: fill in what it leaves open, issue its certificates, and write that down once.

The ConfigMap commits. Secrets carry the fingerprint of an authority whose key is in this process
alone; if it dies before the ConfigMap is there, the next one issues anew, and Secrets that nobody
names end with the job.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from atoll_api import names, resolved_job
from atoll_api.hub_order import JobIdentity
from atoll_api.release import release
from atoll_api.resolved_job import ResolvedJob
from atoll_api.spec import TrainingJob
from atoll_operator.errors import AlreadyExistsError, NotFoundError, StrangerError
from atoll_operator.identity import Authority
from atoll_operator.kubernetes.api import Api, Json, Key
from atoll_operator.kubernetes.authority import OperatorAuthority
from atoll_operator.kubernetes.manifests import identities
from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Collector
from atoll_operator.kubernetes.manifests.blueprint import Settings as ManifestSettings
from atoll_operator.kubernetes.manifests.job_objects import commitment
from atoll_operator.kubernetes.resources import CONFIG_MAPS, SECRETS
from atoll_operator.kubernetes.settings import OperatorSettings
from atoll_operator.kubernetes.training_jobs import JobView, seconds_of
from atoll_telemetry.tracing import address_of, endpoint

_ISSUED_AT_A_TIME: Final = 50
"""Certificates, at 0.4 ms each: 2,000 islands would keep the whole operator for a second."""


@dataclass(frozen=True)
class Accepted:
    """A job that has been accepted, as it was written down."""

    document: bytes
    """JSON: a tenth of what it takes as objects, and read in less than a millisecond."""
    trusted: bytes
    """Certificates of the authorities that its processes trust, in PEM."""
    at: float
    """In seconds since the epoch."""

    def resolved(self) -> ResolvedJob:
        """The job.

        Raises:
            WorkOrderError: it was written by another version, which this one cannot read.
        """
        return resolved_job.parse(self.document)


def blueprint_of(resolved: ResolvedJob, view: JobView, settings: OperatorSettings) -> Blueprint:
    """What the objects of a job are computed from."""
    shown = ManifestSettings(
        version=release(),
        operator_namespace=settings.namespace,
        operator_labels=settings.labels,
        metrics_from=tuple(dict(it) for it in settings.metrics_from),
        image_pull_policy=settings.image_pull_policy,
        image_pull_secrets=settings.image_pull_secrets,
        fs_group=settings.fs_group,
        scrape_annotations=settings.scrape_annotations,
        environment={**settings.log.environment(), **settings.tracing},
        collector=_collector(settings),
    )
    return Blueprint(resolved, shown, view.labels)


def _collector(settings: OperatorSettings) -> Collector | None:
    where = address_of(endpoint(settings.tracing))
    if not where or not settings.tracing_to:
        return None
    peers = tuple(dict(it) for it in settings.tracing_to)
    return Collector(peers, int(where.rpartition(":")[2]))


async def find_accepted(api: Api, view: JobView) -> Accepted | None:
    """What was written of this job; None before.

    Raises:
        StrangerError: the ConfigMap's name is taken by an object of somebody else.
    """
    key = Key(view.key.namespace, names.job_object(view.key.name, view.uid))
    try:
        body = await api.get(CONFIG_MAPS, key)
    except NotFoundError:
        return None
    require_owned(body, view)
    return _read(body)


async def accept(
    api: Api,
    job: TrainingJob,
    view: JobView,
    settings: OperatorSettings,
    operator: OperatorAuthority,
) -> Accepted:
    """Write down a job that nobody has accepted before.

    Raises:
        StrangerError: a name is taken by an object of somebody else.
        ApiError: the API server did not do as asked; to be tried again from the beginning.
    """
    now = datetime.now(UTC)
    authority = Authority(view.uid, now)
    resolved = ResolvedJob(
        job=JobIdentity(name=view.key.name, uid=view.uid),
        namespace=view.key.namespace,
        spec=job.spec,
        image=settings.worker_image,
        fingerprint=authority.fingerprint,
    )
    blueprint = blueprint_of(resolved, view, settings)
    issued = await _issue(authority, identities.processes(resolved))
    trusted = authority.certificate + operator.certificate
    *secrets, config_map = commitment(blueprint, trusted, issued)
    for secret in secrets:
        await api.create(SECRETS, secret)
    try:
        return _read(await api.create(CONFIG_MAPS, config_map))
    except AlreadyExistsError:  # an answer was lost, or somebody else was faster
        found = await find_accepted(api, view)
        if found is None:
            raise
        return found


def require_owned(body: Json, view: JobView) -> None:
    """Check that an object whose name was taken belongs to this very job.

    Raises:
        StrangerError: it does not. One of an earlier job of the same name is gone soon.
    """
    owners = body["metadata"].get("ownerReferences", ())
    if not any(owner.get("uid") == view.uid for owner in owners):
        kind = body.get("kind", "an object")
        raise StrangerError(
            f"{kind} {body['metadata']['name']} is not of this job: wait until it is gone, remove "
            "it, or give the job another name"
        )


async def _issue(
    authority: Authority, processes: Iterable[names.Process]
) -> dict[names.Process, identities.KeyPair]:
    """One for each: in between, others get their turn, and the lease is renewed."""
    issued: dict[names.Process, identities.KeyPair] = {}
    for process in processes:
        identity = authority.issue(process)
        issued[process] = identities.KeyPair(identity.certificate, identity.key)
        if len(issued) % _ISSUED_AT_A_TIME == 0:
            await asyncio.sleep(0)
    return issued


def _read(config_map: Json) -> Accepted:
    data = config_map["data"]
    return Accepted(
        document=data[resolved_job.JOB_FILE].encode(),
        trusted=data[resolved_job.AUTHORITY_FILE].encode(),
        at=seconds_of(config_map["metadata"]["creationTimestamp"]),
    )
