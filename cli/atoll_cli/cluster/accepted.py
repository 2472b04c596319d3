"""What is written of a job once it is accepted: its spec, and what opens its hub.

Whoever may read Secrets in the namespace of a job may read its artifacts: that is the right that
counts here.
"""

import base64
from dataclasses import dataclass
from typing import Final

from atoll_api import names, resolved_job
from atoll_api.hub_order import WorkOrderError
from atoll_api.names import Process
from atoll_api.resolved_job import ResolvedJob
from atoll_cli.cluster import jobs
from atoll_cli.cluster.jobs import JobOnCluster
from atoll_cli.cluster.place import Place
from atoll_cli.errors import CliError, ExitCode
from atoll_operator.errors import ForbiddenError, NotFoundError
from atoll_operator.kubernetes.api import Api, Json, Key, Resource
from atoll_operator.kubernetes.manifests.identities import certificate_key, private_key
from atoll_operator.kubernetes.resources import CONFIG_MAPS, SECRETS, STATEFUL_SETS

_CLI: Final = names.StepName(names.CLI)


@dataclass(frozen=True)
class Papers:
    """What one needs to be heard by a hub, in PEM."""

    process: Process
    certificate: bytes
    key: bytes
    authority: bytes


async def read_resolved(api: Api, place: Place, name: str) -> ResolvedJob:
    """The job as it was accepted.

    Raises:
        CliError: there is no such job, or nobody has accepted it yet.
    """
    job = await jobs.read(api, place, name)
    return _resolved(job, await _config_map(api, place, job))


async def read_papers(api: Api, place: Place, name: str) -> Papers:
    """What the command line proves itself with to the hub of a job.

    Raises:
        CliError: there is no such job, or no hub that could be asked.
    """
    job = await jobs.read(api, place, name)
    data = await _config_map(api, place, job)
    resolved = _resolved(job, data)
    await _require_hub(api, place, job)
    secret = names.identity_object(name, resolved.fingerprint, 0)
    body = await _object(api, SECRETS, Key(job.view.key.namespace, secret))
    if body is None:
        raise CliError(
            f"{name}: its Secret {secret} is gone: delete the job, and submit it again",
            ExitCode.FINAL,
        )
    return Papers(
        process=Process(resolved.job.uid, names.CLI),
        certificate=_decoded(body, certificate_key(_CLI)),
        key=_decoded(body, private_key(_CLI)),
        authority=data[resolved_job.AUTHORITY_FILE].encode(),
    )


async def _config_map(api: Api, place: Place, job: JobOnCluster) -> dict[str, str]:
    key = Key(job.view.key.namespace, names.job_object(job.name, job.view.uid))
    body = await _object(api, CONFIG_MAPS, key)
    owners = body["metadata"].get("ownerReferences") or () if body else ()
    if body is None or not any(it.get("uid") == job.view.uid for it in owners):
        look = f"`atoll status {job.name}{place.flags}` says what it waits for"
        raise CliError(f"{job.name}: no operator has accepted it yet: {look}")
    data: dict[str, str] = body.get("data") or {}
    return data


def _resolved(job: JobOnCluster, data: dict[str, str]) -> ResolvedJob:
    try:
        return resolved_job.parse(data.get(resolved_job.JOB_FILE, ""))
    except WorkOrderError as error:
        raise CliError(
            f"{job.name}: it was accepted by another release ({error}): use the `atoll` of the "
            "operator's release",
            ExitCode.FINAL,
        ) from error


async def _require_hub(api: Api, place: Place, job: JobOnCluster) -> None:
    """Say that there is no hub before kubectl waits for one; whoever may not look, finds out."""
    name, state = job.name, job.status.state
    try:
        key = Key(job.view.key.namespace, names.hub_object(name))
        body = await _object(api, STATEFUL_SETS, key)
    except ForbiddenError:
        return
    if body is None:
        raise CliError(f"{name}: it is {state} and has no hub yet: try again in a moment")
    if body["spec"].get("replicas") == 0:
        raise CliError(
            f"{name}: it is {state} and its hub was stopped; what it kept is where spec.artifacts "
            "has it"
        )
    if not body.get("status", {}).get("readyReplicas"):
        look = f"`atoll logs {name} hub{place.flags}` may say why"
        raise CliError(f"{name}: its hub is not ready: {look}")


async def _object(api: Api, resource: Resource, key: Key) -> Json | None:
    try:
        return await api.get(resource, key)
    except NotFoundError:
        return None


def _decoded(secret: Json, field: str) -> bytes:
    try:
        return base64.b64decode(secret["data"][field], validate=True)
    except (KeyError, ValueError) as error:
        name = secret["metadata"]["name"]
        raise CliError(f"Secret {name} has no readable {field}", ExitCode.FINAL) from error
