"""What `atoll run` says of where artifacts go, and what of it makes another job."""

from pathlib import Path
from typing import Any

import pytest
from builders import job

from atoll_operator.local.run import identity
from atoll_operator.local.same_job import difference
from atoll_operator.local.storage import where_artifacts_live

BUCKET: dict[str, Any] = {"type": "ObjectStore", "objectStore": {"url": "s3://my-bucket/a"}}


def said(storage: dict[str, Any], tmp_path: Path) -> str:
    return where_artifacts_live(job(2, artifacts={"storage": storage}), tmp_path, tmp_path / "out")


def test_nothing_is_said_of_the_usual(tmp_path: Path) -> None:
    assert said({"type": "EmptyDir"}, tmp_path) == ""


def test_a_claim_becomes_the_folder_and_the_user_is_told(tmp_path: Path) -> None:
    assert said({"type": "PersistentVolumeClaim"}, tmp_path) == (
        f"Volume claims are for clusters: here, artifacts are kept in {tmp_path}/out/hub."
    )


def test_the_place_in_the_bucket_is_named(tmp_path: Path) -> None:
    uid = identity(job(2, artifacts={"storage": BUCKET})).uid
    assert said(BUCKET, tmp_path) == f"Artifacts are kept in s3://my-bucket/a/digits-{uid}."


def test_a_secret_of_a_cluster_is_not_looked_for(tmp_path: Path) -> None:
    store = BUCKET["objectStore"] | {"credentialsSecretRef": {"name": "keys"}}
    assert "here, the AWS_* variables say who may write" in said(
        BUCKET | {"objectStore": store}, tmp_path
    )


@pytest.mark.parametrize("quota", [None, "1Gi"])
def test_a_job_that_ran_into_its_quota_goes_on_with_another(quota: str | None) -> None:
    small = job(2, artifacts={"quota": "1Mi"})
    larger = job(2, artifacts={"quota": quota} if quota else {})
    assert identity(small) == identity(larger)
    assert difference(small, larger) is None


def test_another_bucket_is_another_job() -> None:
    found = difference(job(2), job(2, artifacts={"storage": BUCKET}))
    assert found is not None
    assert found.startswith("spec.artifacts.storage.")
