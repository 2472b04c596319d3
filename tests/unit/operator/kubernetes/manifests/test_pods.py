"""What every pod of a job has, and what its template says."""

from dataclasses import replace
from typing import Any

import pytest
from builders import FULL_TEMPLATE
from cluster_jobs import MERGING, SETTINGS, blueprint, container_of, env_of, jobs, pod_of

from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Json
from atoll_operator.kubernetes.manifests.hub import hub_stateful_set

ENSEMBLE = blueprint(**{"islands.overrides": [{"island": 1, "template": FULL_TEMPLATE}]})
MERGERS = blueprint(**MERGING, **{"islands.template": FULL_TEMPLATE})
EVERYBODY = [
    *jobs(ENSEMBLE),
    *jobs(MERGERS),
    hub_stateful_set(ENSEMBLE),
    hub_stateful_set(blueprint(template=FULL_TEMPLATE)),
    hub_stateful_set(blueprint(**{"artifacts.storage.type": "PersistentVolumeClaim"})),
]
NAMES = [f"{number}-{it['metadata']['name']}" for number, it in enumerate(EVERYBODY)]
everybody = pytest.mark.parametrize("document", EVERYBODY, ids=NAMES)
RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "emptyDir",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def island(drawn: Blueprint, number: int = 0) -> Json:
    name = f"{drawn.job}-island-{number}"
    return next(it for it in jobs(drawn) if it["metadata"]["name"] == name)


def said(**template: Any) -> Json:
    return island(blueprint(template=template))


@everybody
def test_every_pod_passes_the_restricted_standard(document: Json) -> None:
    pod, container = pod_of(document), container_of(document)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
    }
    for volume in pod["volumes"]:
        (kind,) = volume.keys() - {"name"}
        assert kind in RESTRICTED_VOLUMES | {"nfs"}  # which a user has to ask for
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()


@everybody
def test_no_pod_speaks_to_the_api_server(document: Json) -> None:
    pod = pod_of(document)
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


@everybody
def test_every_pod_is_found_by_labels_that_are_its_own(document: Json) -> None:
    labels = document["spec"]["template"]["metadata"]["labels"]
    assert document["metadata"]["labels"].items() <= labels.items()
    assert labels["atoll.dev/job"] == labels["app.kubernetes.io/instance"] == "digits"
    assert labels["atoll.dev/role"] == labels["app.kubernetes.io/component"]


@everybody
def test_every_pod_can_write_to_its_scratch_folder_and_say_its_last_words(document: Json) -> None:
    pod, container = pod_of(document), container_of(document)
    env = env_of(document)
    assert env["HOME"] == env["TMPDIR"] == "/scratch"
    assert {"name": "atoll-scratch", "mountPath": "/scratch"} in container["volumeMounts"]
    assert {"name": "atoll-scratch", "emptyDir": {}} in pod["volumes"]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert pod["terminationGracePeriodSeconds"] == 30


@everybody
def test_every_mount_has_its_volume_and_no_path_is_taken_twice(document: Json) -> None:
    volumes = [it["name"] for it in pod_of(document)["volumes"]]
    mounts = container_of(document)["volumeMounts"]
    assert len(set(volumes)) == len(volumes)
    assert {it["name"] for it in mounts} == set(volumes)
    assert len({it["mountPath"] for it in mounts}) == len(mounts)


@everybody
def test_every_pod_knows_where_it_is(document: Json) -> None:
    assert env_of(document)["ATOLL_NAMESPACE"] == document["metadata"]["namespace"]


def test_every_pod_is_told_how_to_log_and_where_traces_go() -> None:
    told = {"ATOLL_LOG_FORMAT": "json", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}
    own = {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://mine:4317"}
    settings = replace(SETTINGS, environment=told)
    for document in (*jobs(blueprint(settings)), hub_stateful_set(blueprint(settings))):
        assert told.items() <= env_of(document).items()
    for document in jobs(blueprint(settings, template={"env": [own]})):
        assert env_of(document)["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://mine:4317"


def test_threads_and_allocator_are_those_of_a_laptop() -> None:
    document = island(blueprint(**{"islands.threads": 3}))
    env = env_of(document)
    assert env["OMP_NUM_THREADS"] == env["MKL_NUM_THREADS"] == "3"
    assert env["MALLOC_ARENA_MAX"] == "1"
    assert env["PYTHONUNBUFFERED"] == "1"
    assert container_of(document)["resources"]["requests"]["cpu"] == "3"
    assert env_of(hub_stateful_set(blueprint(**{"islands.threads": 3})))["OMP_NUM_THREADS"] == "1"


def test_the_image_is_that_of_acceptance_unless_a_template_names_one() -> None:
    drawn = blueprint()
    assert container_of(island(drawn))["image"] == drawn.resolved.image
    assert container_of(said(image="mine:1"))["image"] == "mine:1"


def test_whose_turn_it_is_to_say_when_to_pull() -> None:
    silent, asked = blueprint(), blueprint(replace(SETTINGS, image_pull_policy="Always"))
    assert "imagePullPolicy" not in container_of(island(silent))
    assert container_of(island(asked))["imagePullPolicy"] == "Always"
    mine = blueprint(asked.settings, template={"imagePullPolicy": "Never"})
    assert container_of(island(mine))["imagePullPolicy"] == "Never"


def test_pull_secrets_of_operator_and_template_are_joined() -> None:
    pod = pod_of(said(imagePullSecrets=[{"name": "mine"}, {"name": "registry"}]))
    assert pod["imagePullSecrets"] == [{"name": "registry"}, {"name": "mine"}]


def test_a_users_variables_replace_ours_but_for_threads() -> None:
    names = ["HOME", "MALLOC_ARENA_MAX", "MINE"]
    env = env_of(said(env=[{"name": it, "value": "x"} for it in names]))
    assert [env[it] for it in names] == ["x", "x", "x"]
    assert env["OMP_NUM_THREADS"] == "1"


def test_an_island_is_named_in_values() -> None:
    template = {"env": [{"name": "SITE", "value": "s{island}/{island}"}]}
    single = island(blueprint(**{"islands.template": template}), 2)
    assert env_of(single)["SITE"] == "s2/2"
    (indexed,) = (
        it
        for it in jobs(blueprint(**MERGING, **{"islands.template": template}))
        if it["metadata"]["name"] == "digits-islands"
    )
    assert env_of(indexed)["SITE"] == "s$(JOB_COMPLETION_INDEX)/$(JOB_COMPLETION_INDEX)"


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, {"requests": {"cpu": "1", "memory": "1Gi"}}),
        (
            {"requests": {"cpu": 4}},
            {"requests": {"cpu": "4", "memory": "1Gi"}},
        ),
        (
            {"limits": {"memory": "512Mi", "nvidia.com/gpu": 1}},
            {
                "requests": {"cpu": "1"},
                "limits": {"memory": "512Mi", "nvidia.com/gpu": "1"},
            },
        ),
    ],
)
def test_requests_are_those_of_the_threads_unless_a_user_says_otherwise(
    resources: Json, expected: Json
) -> None:
    assert container_of(said(resources=resources))["resources"] == expected


def test_a_full_template_is_all_there() -> None:
    document = island(ENSEMBLE, 1)
    pod, container = pod_of(document), container_of(document)
    for field in ("affinity", "nodeSelector", "tolerations", "priorityClassName"):
        assert pod[field] == FULL_TEMPLATE[field]
    for field in ("serviceAccountName", "runtimeClassName", "schedulerName"):
        assert pod[field] == FULL_TEMPLATE[field]
    metadata = document["spec"]["template"]["metadata"]
    assert metadata["annotations"] == FULL_TEMPLATE["annotations"]
    assert FULL_TEMPLATE["labels"].items() <= metadata["labels"].items()
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod["securityContext"]["fsGroup"] == 2000
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert env_of(document)["PLAIN"] == ""
    assert env_of(document)["SECRET"] == {"secretKeyRef": {"name": "keys", "key": "token"}}
    others = pod_of(island(ENSEMBLE, 0))
    assert "affinity" not in others


def test_a_volume_is_divided_into_what_it_is_and_where_it_is() -> None:
    document = island(ENSEMBLE, 1)
    volumes = {it["name"]: it for it in pod_of(document)["volumes"]}
    mounts = {it["name"]: it for it in container_of(document)["volumeMounts"]}
    assert volumes["data"] == {"name": "data", "persistentVolumeClaim": {"claimName": "images"}}
    assert mounts["data"] == {
        "name": "data",
        "mountPath": "/data",
        "subPath": "images/train",
        "readOnly": True,
    }
    assert volumes["tmp"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}


def test_an_inline_volume_is_told_that_it_is_read_only() -> None:
    volume = {"name": "b", "mountPath": "/b", "readOnly": True, "csi": {"driver": "d"}}
    found = pod_of(said(volumes=[volume]))["volumes"][-1]
    assert found == {"name": "b", "csi": {"driver": "d", "volumeAttributes": {}, "readOnly": True}}


def test_a_large_data_set_keeps_its_group_unless_somebody_asks() -> None:
    volume = {"name": "d", "mountPath": "/d", "persistentVolumeClaim": {"claimName": "images"}}
    assert "fsGroup" not in pod_of(said(volumes=[volume]))["securityContext"]
    asked = pod_of(said(volumes=[volume], securityContext={"fsGroup": 5}))["securityContext"]
    assert (asked["fsGroup"], asked["fsGroupChangePolicy"]) == (5, "OnRootMismatch")


def test_pods_say_where_their_metrics_are_if_they_shall() -> None:
    said: Json = {"annotations": {"prometheus.io/path": "/mine", "a": "b"}}
    for settings, expected in (
        (SETTINGS, said["annotations"]),
        (
            replace(SETTINGS, scrape_annotations=True),
            {"prometheus.io/scrape": "true", "prometheus.io/port": "9464", **said["annotations"]},
        ),
    ):
        drawn = blueprint(settings, template=said)
        for document in (*jobs(drawn), hub_stateful_set(drawn)):
            assert document["spec"]["template"]["metadata"]["annotations"] == expected
    for document in (*jobs(blueprint()), hub_stateful_set(blueprint())):
        assert "annotations" not in document["spec"]["template"]["metadata"]
