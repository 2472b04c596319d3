"""Who gets which certificate, and what of a Secret a pod sees."""

import base64
from typing import Any

import pytest
from cluster_jobs import (
    AUTHORITY,
    MERGING,
    blueprint,
    container_of,
    issued,
    jobs,
    pod_of,
)

from atoll_api import hub_order, resolved_job
from atoll_api.names import CLI, HUB, StepName
from atoll_operator.kubernetes.manifests.config_map import config_map
from atoll_operator.kubernetes.manifests.hub import hub_stateful_set
from atoll_operator.kubernetes.manifests.identities import identity_secrets, processes, secret_of
from atoll_operator.kubernetes.manifests.job_objects import commitment
from atoll_operator.kubernetes.manifests.jobs import islands_job

MANY: dict[str, Any] = {**MERGING, "islands.count": 1000}
PREFIX = "digits-identity-5f0c4c3f9c3b"


def test_everybody_has_one_certificate() -> None:
    resolved = blueprint(**{"islands.count": 2}).resolved
    steps = [it.step for it in processes(resolved)]
    assert steps == [HUB, CLI, "partition", "island-0", "island-1", "router", "evaluate"]
    assert {it.job_uid for it in processes(resolved)} == {resolved.job.uid}


def test_a_secret_holds_what_was_issued() -> None:
    drawn = blueprint(**{"islands.count": 2})
    others, islands = identity_secrets(drawn, issued(drawn.resolved))
    assert [it["metadata"]["name"] for it in (others, islands)] == [f"{PREFIX}-0", f"{PREFIX}-1"]
    assert others["immutable"] is islands["immutable"] is True
    assert len(others["data"]) + len(islands["data"]) == 2 * len(processes(drawn.resolved))
    assert base64.b64decode(islands["data"]["island-1.key"]) == b"key of island-1"
    assert base64.b64decode(others["data"]["hub.crt"]) == b"certificate of hub"


def test_an_island_is_not_in_one_secret_with_anybody_else() -> None:
    drawn = blueprint()
    others, islands = identity_secrets(drawn, issued(drawn.resolved))
    assert all(key.startswith("island-") for key in islands["data"])
    assert not any(key.startswith("island-") for key in others["data"])


def test_nobody_is_forgotten() -> None:
    drawn = blueprint()
    some = issued(drawn.resolved)
    some.popitem()
    with pytest.raises(KeyError):
        identity_secrets(drawn, some)


def test_a_thousand_islands_have_three_secrets_below_the_size_of_an_object() -> None:
    drawn = blueprint(**MANY)
    secrets = identity_secrets(drawn, issued(drawn.resolved))
    assert [it["metadata"]["name"] for it in secrets] == [f"{PREFIX}-{n}" for n in range(3)]
    assert [len(it["data"]) for it in secrets] == [2 * 5, 1000, 1000]
    a_pair_in_base64 = 1400  # P-256: certificate and key
    assert max(len(it["data"]) for it in secrets) / 2 * a_pair_in_base64 < 2**20
    for secret in secrets:
        for key in secret["data"]:
            step = StepName(key.rpartition(".")[0])
            if step != CLI:
                assert secret_of(drawn.resolved, step) == secret["metadata"]["name"]


def test_who_is_nobody_has_no_secret() -> None:
    for step in ("island-4", "island", "x y", ""):
        with pytest.raises(ValueError, match=f"{step} is no process of digits"):
            secret_of(blueprint().resolved, StepName(step))


def test_a_pod_sees_its_own_two_files_where_its_order_says() -> None:
    drawn = blueprint()
    for document in (*jobs(drawn), hub_stateful_set(drawn)):
        step = document["metadata"]["name"].removeprefix("digits-")
        volumes = {it["name"]: it for it in pod_of(document)["volumes"]}
        secret = volumes["atoll-identity"]["secret"]
        assert secret["secretName"] == f"{PREFIX}-{int(step.startswith('island'))}"
        assert [it["key"] for it in secret["items"]] == [f"{step}.crt", f"{step}.key"]
        mounts = {it["name"]: it for it in container_of(document)["volumeMounts"]}
        folder = mounts["atoll-identity"]["mountPath"]
        files = resolved_job.identity_files()
        paths = [f"{folder}/{it['path']}" for it in secret["items"]]
        assert paths == [files.certificate, files.key]
        assert mounts["atoll-identity"]["readOnly"] is True


def test_a_pod_of_an_indexed_job_sees_them_by_its_index() -> None:
    document = islands_job(blueprint(**MANY))
    volumes = {it["name"]: it for it in pod_of(document)["volumes"]}
    sources = volumes["atoll-identity"]["projected"]["sources"]
    assert [it["secret"]["name"] for it in sources] == [f"{PREFIX}-{n}" for n in (1, 2)]
    mounts = [it for it in container_of(document)["volumeMounts"] if it["name"] == "atoll-identity"]
    files = resolved_job.identity_files()
    assert {it["mountPath"]: it["subPathExpr"] for it in mounts} == {
        files.certificate: "island-$(JOB_COMPLETION_INDEX).crt",
        files.key: "island-$(JOB_COMPLETION_INDEX).key",
    }
    assert all(it["readOnly"] for it in mounts)


@pytest.mark.parametrize("spec", [{}, MERGING])
def test_the_config_map_tells_the_job_and_the_hub(spec: dict[str, Any]) -> None:
    drawn = blueprint(**spec)
    written = config_map(drawn, AUTHORITY)
    assert written["immutable"] is True
    assert written["metadata"]["name"].startswith("digits-job-")
    assert resolved_job.parse(written["data"]["job.json"]) == drawn.resolved
    order = hub_order.parse(written["data"]["hub.json"])
    assert order == resolved_job.order_of_hub(drawn.resolved)
    assert written["data"]["ca.crt"].encode() == AUTHORITY


def test_the_config_map_commits() -> None:
    drawn = blueprint(**MANY)
    kinds = [it["kind"] for it in commitment(drawn, AUTHORITY, issued(drawn.resolved))]
    assert kinds == ["Secret", "Secret", "Secret", "ConfigMap"]


@pytest.mark.parametrize(
    "strategy",
    [
        {"type": "IterativeMerge", "iterativeMerge": {"topology": {"type": "FullyConnected"}}},
        {"type": "IterativeMerge", "iterativeMerge": {"topology": {"type": "Exponential"}}},
        {"type": "SingleMerge", "singleMerge": {"gossip": {"stepsPerRound": 50}}},
    ],
)
def test_what_a_thousand_islands_are_told_fits_into_an_object(strategy: dict[str, Any]) -> None:
    spec = {"task": {"type": "Classification"}, "strategy": strategy, "islands.count": 1000}
    data = config_map(blueprint(**spec), AUTHORITY)["data"]
    assert sum(map(len, data.values())) < 2**19
