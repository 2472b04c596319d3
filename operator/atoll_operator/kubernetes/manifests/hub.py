"""The hub of a job: a StatefulSet of one pod, its Service, and its claim where it has one."""

from typing import Final

from atoll_api import names, resolved_job
from atoll_api.spec.artifacts import Storage
from atoll_operator.kubernetes.manifests import identities
from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Json
from atoll_operator.kubernetes.manifests.pods import METRICS, Worker, pod_template

PORT_NAME: Final = "tls-exchange"
"""A service mesh goes by the prefix: it is encrypted already."""
READY_SECONDS: Final = 120
"""A hub that does not serve by then is started again; it is ready in less than one."""
_STORE: Final = f"{names.RESERVED_VOLUME_PREFIX}store"
_CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_OPTIONAL_CREDENTIALS: Final = ("AWS_SESSION_TOKEN",)


def hub_stateful_set(blueprint: Blueprint, replicas: int = 1) -> Json:
    """The hub: 1 replica while the job goes on, and 0 at its end.

    A changed template waits for the next pod (OnDelete): an upgrade of the operator restarts no
    hub of a job that runs.
    """
    name = names.hub_object(blueprint.job)
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": blueprint.metadata(name, "hub"),
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "selector": {"matchLabels": names.selector(blueprint.job, "hub")},
            "updateStrategy": {"type": "OnDelete"},
            "template": pod_template(blueprint, _hub(blueprint), restart_policy="Always"),
        },
    }


def hub_service(blueprint: Blueprint) -> Json:
    """Where the hub answers, whichever pod it is: a name of the pod's address, and no address more.

    Addresses of Services are few on some clusters, and given out one after another: with them 300
    jobs waited 40 s for theirs. Not only while it is ready: a name that was not there is remembered
    by resolvers, and who asks too early waits longer.
    """
    port = {"name": PORT_NAME, "port": names.HUB_PORT, "targetPort": PORT_NAME, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": blueprint.metadata(names.hub_object(blueprint.job), "hub"),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": names.selector(blueprint.job, "hub"),
            "ports": [port],
        },
    }


def hub_claim(blueprint: Blueprint) -> Json | None:
    """The claim of its artifacts; None where they are elsewhere."""
    wanted = blueprint.resolved.spec.artifacts.storage.persistent_volume_claim
    if wanted is None:
        return None
    storage = wanted.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": blueprint.metadata(names.hub_object(blueprint.job), "hub"),
        "spec": {
            "accessModes": list(wanted.access_modes),
            "resources": {"requests": {"storage": wanted.size}},
            **({"storageClassName": storage} if storage else {}),
        },
    }


def _hub(blueprint: Blueprint) -> Worker:
    storage = blueprint.resolved.spec.artifacts.storage
    claimed = storage.persistent_volume_claim is not None
    return Worker(
        role="hub",
        step=names.HUB,
        arguments=(f"{resolved_job.JOB_FOLDER}/{resolved_job.HUB_FILE}",),
        files=(resolved_job.HUB_FILE, resolved_job.AUTHORITY_FILE),
        identity=identities.volume(blueprint.resolved, names.HUB),
        identity_mounts=identities.mounts(),
        ports=((PORT_NAME, names.HUB_PORT),),
        env=_credentials(storage),
        container={
            "startupProbe": _probe(period_seconds=1, failures=READY_SECONDS),
            "readinessProbe": _probe(period_seconds=5, failures=3),
        },
        volumes=({"name": _STORE, **_store(blueprint, claimed=claimed)},),
        mounts=({"name": _STORE, "mountPath": resolved_job.STORE_FOLDER},),
        fs_group=blueprint.settings.fs_group if claimed else None,
    )


def _store(blueprint: Blueprint, *, claimed: bool) -> Json:
    """A disk of its own; with a bucket, for what is being received."""
    if not claimed:
        return {"emptyDir": {}}
    return {"persistentVolumeClaim": {"claimName": names.hub_object(blueprint.job)}}


def _credentials(storage: Storage) -> tuple[Json, ...]:
    """Of the bucket: from the Secret into the environment of the hub, and nobody else's."""
    secret = storage.object_store.credentials_secret_ref if storage.object_store else None
    if secret is None:
        return ()
    return tuple(
        {
            "name": key,
            "valueFrom": {
                "secretKeyRef": {
                    "name": secret.name,
                    "key": key,
                    **({"optional": True} if key in _OPTIONAL_CREDENTIALS else {}),
                }
            },
        }
        for key in (*_CREDENTIALS, *_OPTIONAL_CREDENTIALS)
    )


def _probe(period_seconds: int, failures: int) -> Json:
    """Plain HTTP: a kubelet cannot speak mutual TLS."""
    return {
        "httpGet": {"path": "/healthz", "port": METRICS},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }
