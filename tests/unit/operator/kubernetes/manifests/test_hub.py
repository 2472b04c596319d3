"""The hub's StatefulSet, Service and claim."""

import json
from dataclasses import replace

from cluster_jobs import SETTINGS, blueprint, container_of, env_of, jobs, pod_of

from atoll_operator.kubernetes.manifests.hub import hub_claim, hub_service, hub_stateful_set

CLAIMED = blueprint(
    **{
        "artifacts.storage": {
            "type": "PersistentVolumeClaim",
            "persistentVolumeClaim": {
                "size": "20Gi",
                "storageClassName": "fast",
                "accessModes": ["ReadWriteOncePod"],
            },
        }
    }
)
BUCKET = {"url": "s3://abc/x", "credentialsSecretRef": {"name": "s3-keys"}}


def test_one_pod_or_none() -> None:
    drawn = blueprint()
    going, ended = hub_stateful_set(drawn), hub_stateful_set(drawn, replicas=0)
    assert (going["spec"]["replicas"], ended["spec"]["replicas"]) == (1, 0)
    assert going["spec"]["template"] == ended["spec"]["template"]


def test_an_upgrade_of_the_operator_restarts_no_hub() -> None:
    old, new = blueprint(), blueprint(replace(SETTINGS, version="0.2.0"))
    assert hub_stateful_set(old)["spec"]["selector"] == hub_stateful_set(new)["spec"]["selector"]
    assert hub_stateful_set(new)["spec"]["updateStrategy"] == {"type": "OnDelete"}
    labels = hub_stateful_set(new)["spec"]["template"]["metadata"]["labels"]
    assert hub_stateful_set(new)["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_the_service_finds_the_pod_by_the_name_that_processes_were_told() -> None:
    drawn = blueprint()
    service, labels = hub_service(drawn), hub_stateful_set(drawn)["spec"]["template"]["metadata"]
    host, _, port = drawn.resolved.hub.partition(":")
    assert host == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert service["spec"]["ports"][0]["port"] == int(port)
    assert service["spec"]["selector"].items() <= labels["labels"].items()
    named = {
        it["name"]: it["containerPort"] for it in container_of(hub_stateful_set(drawn))["ports"]
    }
    assert named[service["spec"]["ports"][0]["targetPort"]] == int(port)
    assert service["spec"]["clusterIP"] == "None", "addresses of Services run out"
    assert service["spec"]["publishNotReadyAddresses"], "a name that is not there is remembered"


def test_it_starts_from_its_order_and_is_asked_by_plain_http() -> None:
    container = container_of(hub_stateful_set(blueprint()))
    assert container["args"] == ["/etc/atoll/job/hub.json", "--metrics-port", "9464"]
    for probe, seconds in (("startupProbe", 120), ("readinessProbe", 15)):
        asked = container[probe]
        assert asked["httpGet"] == {"path": "/healthz", "port": "metrics"}
        assert asked["periodSeconds"] * asked["failureThreshold"] == seconds
    assert "livenessProbe" not in container


def test_it_sees_its_order_and_its_own_key_alone() -> None:
    volumes = {it["name"]: it for it in pod_of(hub_stateful_set(blueprint()))["volumes"]}
    items = volumes["atoll-job"]["configMap"]["items"]
    assert [it["key"] for it in items] == ["hub.json", "ca.crt"]
    assert [it["key"] for it in volumes["atoll-identity"]["secret"]["items"]] == [
        "hub.crt",
        "hub.key",
    ]


def test_its_store_is_a_disk_or_a_claim() -> None:
    stores = [
        next(it for it in pod_of(hub_stateful_set(drawn))["volumes"] if it["name"] == "atoll-store")
        for drawn in (blueprint(), CLAIMED)
    ]
    claim = {"persistentVolumeClaim": {"claimName": "digits-hub"}}
    assert stores == [{"name": "atoll-store", "emptyDir": {}}, {"name": "atoll-store", **claim}]


def test_a_claim_is_what_the_job_says() -> None:
    claim = hub_claim(CLAIMED)
    assert claim is not None
    assert claim["metadata"]["name"] == "digits-hub"
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOncePod"],
        "resources": {"requests": {"storage": "20Gi"}},
        "storageClassName": "fast",
    }
    assert hub_claim(blueprint()) is None
    usual = hub_claim(blueprint(**{"artifacts.storage.type": "PersistentVolumeClaim"}))
    assert usual is not None
    assert usual["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
    }


def test_a_claim_belongs_to_a_group_of_the_process() -> None:
    assert pod_of(hub_stateful_set(CLAIMED))["securityContext"]["fsGroup"] == 65532
    assert "fsGroup" not in pod_of(hub_stateful_set(blueprint()))["securityContext"]
    left = replace(CLAIMED, settings=replace(SETTINGS, fs_group=None))
    assert "fsGroup" not in pod_of(hub_stateful_set(left))["securityContext"]


def test_credentials_go_from_the_users_secret_to_the_hub_alone() -> None:
    storage = {"artifacts.storage": {"type": "ObjectStore", "objectStore": BUCKET}}
    env = env_of(hub_stateful_set(blueprint(**storage)))
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert env[key] == {"secretKeyRef": {"name": "s3-keys", "key": key}}
    assert env["AWS_SESSION_TOKEN"]["secretKeyRef"]["optional"] is True
    assert "AWS_ACCESS_KEY_ID" not in env_of(hub_stateful_set(blueprint()))
    others = jobs(blueprint(**storage))
    assert others
    assert not any("AWS_" in text or "s3-keys" in text for text in map(json.dumps, others))
