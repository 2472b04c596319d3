"""Secrets of certificates and keys: one for each so many processes. Immutable.

Number 0 has all who are no islands, from 1 on are the islands: who is in which is said by a name
alone, and no island's pod mounts the hub's key.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from atoll_api import names
from atoll_api.names import CERTIFICATES_A_SECRET, Process, StepName
from atoll_api.resolved_job import CERTIFICATE_FILE, IDENTITY_FOLDER, KEY_FILE, ResolvedJob
from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Json
from atoll_operator.plan.pipeline import pipeline

_VOLUME: Final = f"{names.RESERVED_VOLUME_PREFIX}identity"
_READABLE: Final = 0o444
"""Keys too: a process is not root, and alone in its pod."""


@dataclass(frozen=True)
class KeyPair:
    """What a process proves itself with, in PEM."""

    certificate: bytes
    key: bytes


def processes(resolved: ResolvedJob) -> tuple[Process, ...]:
    """All who get a certificate: the hub, the command line, and all steps."""
    uid = resolved.job.uid
    steps = (step.process(uid) for step in pipeline(resolved.spec))
    return (Process(uid, names.HUB), Process(uid, names.CLI), *steps)


def identity_secrets(blueprint: Blueprint, issued: Mapping[Process, KeyPair]) -> tuple[Json, ...]:
    """All Secrets of certificates of a job.

    Raises:
        KeyError: one of `processes` has none.
    """
    shards: dict[int, list[Process]] = {}
    for process in processes(blueprint.resolved):
        shards.setdefault(_number(process), []).append(process)
    return tuple(_secret(blueprint, number, it, issued) for number, it in sorted(shards.items()))


def volume(resolved: ResolvedJob, step: StepName) -> Json:
    """What of its Secret the pod of one process gets: its own, and nobody else's."""
    items = [
        {"key": certificate_key(step), "path": CERTIFICATE_FILE},
        {"key": private_key(step), "path": KEY_FILE},
    ]
    secret = {"secretName": secret_of(resolved, step), "items": items, "defaultMode": _READABLE}
    return {"name": _VOLUME, "secret": secret}


def mounts() -> tuple[Json, ...]:
    """Where that is seen in the container."""
    return ({"name": _VOLUME, "mountPath": IDENTITY_FOLDER, "readOnly": True},)


def volume_of_islands(resolved: ResolvedJob) -> Json:
    """What the pods of an Indexed Job get: they share a template, and so a volume.

    Without items: of 1,000 islands they would be 140 KB of the Job and of each of its pods.
    """
    sources = [{"secret": {"name": it}} for it in secrets_of_islands(resolved)]
    return {"name": _VOLUME, "projected": {"sources": sources, "defaultMode": _READABLE}}


def mounts_of_islands() -> tuple[Json, ...]:
    """The container of such a pod sees its own two files alone, by its completion index."""
    step = f"{names.ISLAND}-$({names.ENV_COMPLETION_INDEX})"
    return tuple(
        {
            "name": _VOLUME,
            "mountPath": f"{IDENTITY_FOLDER}/{file}",
            "subPathExpr": key(StepName(step)),
            "readOnly": True,
        }
        for file, key in ((CERTIFICATE_FILE, certificate_key), (KEY_FILE, private_key))
    )


def secret_of(resolved: ResolvedJob, step: StepName) -> str:
    """The name of the Secret that holds the certificate of a process.

    Raises:
        ValueError: no process of the job is called that.
    """
    process = names.process_of_step(resolved.job.uid, step)
    if process is None or process.index >= resolved.spec.islands.count:
        raise ValueError(f"{step} is no process of {resolved.job.name}")
    return _name(resolved, _number(process))


def secrets_of_islands(resolved: ResolvedJob) -> tuple[str, ...]:
    """The names of all Secrets with a certificate of an island."""
    last = Process(resolved.job.uid, names.ISLAND, resolved.spec.islands.count - 1)
    return tuple(_name(resolved, number) for number in range(1, _number(last) + 1))


def certificate_key(step: StepName) -> str:
    """Where in its Secret the certificate of a process is."""
    return f"{step}.crt"


def private_key(step: StepName) -> str:
    """Where in its Secret the key of a process is."""
    return f"{step}.key"


def _number(process: Process) -> int:
    island = process.role == names.ISLAND
    return 1 + process.index // CERTIFICATES_A_SECRET if island else 0


def _name(resolved: ResolvedJob, number: int) -> str:
    return names.identity_object(resolved.job.name, resolved.fingerprint, number)


def _secret(
    blueprint: Blueprint, number: int, shard: Sequence[Process], issued: Mapping[Process, KeyPair]
) -> Json:
    data: dict[str, str] = {}
    for process in shard:
        pair = issued[process]
        data[certificate_key(process.step)] = base64.b64encode(pair.certificate).decode("ascii")
        data[private_key(process.step)] = base64.b64encode(pair.key).decode("ascii")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": blueprint.metadata(_name(blueprint.resolved, number)),
        "immutable": True,
        "type": "Opaque",
        "data": data,
    }
