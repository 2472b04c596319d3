"""`spec.artifacts`: where artifacts live and how much they may take."""

import json
from typing import Any

import jsonschema
import pytest
from builders import job_document, make_job

from atoll_api.crd import custom_resource_definition
from atoll_api.problems import InvalidJobError
from atoll_api.units import size_bytes

STORAGE = "spec.artifacts.storage"


def schema_of_artifacts() -> dict[str, Any]:
    version = custom_resource_definition()["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    found: dict[str, Any] = schema["properties"]["spec"]["properties"]["artifacts"]
    return found


def bucket(**fields: Any) -> dict[str, Any]:
    store = {"url": "s3://my-bucket/atoll"} | fields
    return {"storage": {"type": "ObjectStore", "objectStore": store}}


def problem_of(artifacts: dict[str, Any]) -> str:
    with pytest.raises(InvalidJobError) as caught:
        make_job(artifacts=artifacts)
    (problem,) = caught.value.problems
    return str(problem)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("5k", 5000),
        ("3M", 3_000_000),
        ("2Ki", 2048),
        ("10Gi", 10 * 2**30),
        ("1T", 10**12),
    ],
)
def test_byte_counts(text: str, expected: int) -> None:
    assert size_bytes(text) == expected


def test_the_default_is_the_disk_of_the_hub_without_a_quota() -> None:
    artifacts = make_job().spec.artifacts
    assert (artifacts.storage.type, artifacts.quota) == ("EmptyDir", None)


GOOD = [
    {"storage": {"type": "PersistentVolumeClaim"}, "quota": "10Gi"},
    {
        "storage": {
            "type": "PersistentVolumeClaim",
            "persistentVolumeClaim": {
                "size": "1Ti",
                "storageClassName": "fast",
                "accessModes": ["ReadWriteOncePod"],
            },
        }
    },
    bucket(),
    bucket(url="s3://my.bucket", region="auto"),
    bucket(url="s3://abc/year=2026/a_b-c.d/", credentialsSecretRef={"name": "s3-keys"}),
    bucket(endpoint="http://127.0.0.1:9000"),
    bucket(endpoint="https://[::1]:9000/"),
    bucket(endpoint="https://x.example.org/storage/v1/s3"),
]


@pytest.mark.parametrize("artifacts", GOOD)
def test_what_is_accepted_comes_back_and_the_server_takes_it(artifacts: dict[str, Any]) -> None:
    document = make_job(artifacts=artifacts).to_document()
    assert make_job(**document["spec"]).to_document() == document
    jsonschema.validate(document["spec"]["artifacts"], schema_of_artifacts())
    jsonschema.validate(
        job_document(artifacts=artifacts)["spec"]["artifacts"], schema_of_artifacts()
    )


BAD_URLS = [
    ("gs://my-bucket/x", "should begin with s3://, such as s3://my-bucket/atoll"),
    ("my-bucket/x", "should begin with s3://"),
    ("s3://", "should begin with s3://"),
    ("s3:///x", "should name a bucket: 3 to 63 lower-case letters"),
    ("s3://My_Bucket/x", "should name a bucket: 3 to 63 lower-case letters"),
    ("s3://ab", "should name a bucket: 3 to 63"),
    ("s3://my-bucket//x", "between single '/'"),
    ("s3://my-bucket/../x", "should have a prefix of letters, digits"),
    ("s3://my-bucket/x?versionId=1", "should have a prefix of letters, digits"),
    ("s3://my-bucket/a b", "should have a prefix of letters, digits"),
]
BAD_ENDPOINTS = [
    ("minio.example.org:9000", "should begin with https:// or http://"),
    ("ftp://minio.example.org", "should begin with https:// or http://"),
    ("https://", "should be a host and, optionally, a port and a path"),
    ("https://host:port", "should be a host and, optionally, a port and a path"),
    ("https://host/x?y=1", "with no query"),
]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("url", *bad) for bad in BAD_URLS] + [("endpoint", *bad) for bad in BAD_ENDPOINTS],
)
def test_a_bad_address_is_told_apart(field: str, value: str, expected: str) -> None:
    said = problem_of(bucket(**{field: value}))
    assert said.startswith(f"{STORAGE}.objectStore.{field}: ")
    assert expected in said
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bucket(**{field: value}), schema_of_artifacts())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "s3://AKIAEXAMPLE:wJalr/XUtnFEMI@my-bucket/x"),
        ("endpoint", "https://AKIAEXAMPLE:wJalr/XUtnFEMI@minio.example.org"),
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(field: str, value: str) -> None:
    said = problem_of(bucket(**{field: value}))
    assert "should hold no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said
    assert "AKIA" not in said
    assert "wJalr" not in said
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bucket(**{field: value}), schema_of_artifacts())


@pytest.mark.parametrize(
    ("artifacts", "expected"),
    [
        ({"storage": {"type": "ObjectStore"}}, f"{STORAGE}.objectStore.url: is required"),
        (bucket(region="eu central"), f"{STORAGE}.objectStore.region: 'eu central'"),
        (bucket(secretKey="x"), "unknown key; accepted here: url, endpoint, region, credentialsS"),
        (bucket(url=3), "should be a valid string"),
        (bucket(credentialsSecretRef={"name": "A_B"}), "credentialsSecretRef.name: 'A_B' is not"),
        ({"storage": {"type": "Disk"}}, "accepted: EmptyDir, PersistentVolumeClaim, ObjectStore"),
        ({"storage": {"objectStore": {"url": "s3://abc"}}}, "not allowed beside type EmptyDir"),
        (
            {
                "storage": {
                    "type": "PersistentVolumeClaim",
                    "persistentVolumeClaim": {"size": "ten"},
                }
            },
            "persistentVolumeClaim.size: 'ten' is not accepted (say a whole number and Ki, Mi",
        ),
        ({"quota": "10GB"}, "quota: '10GB' is not accepted (say a whole number and Ki, Mi, Gi"),
        ({"quota": "0"}, "quota: '0' is not accepted"),
        ({"quota": 100}, "quota: 100: should be a valid string (text; quote it"),
        (
            {"quota": "11Gi", "storage": {"type": "PersistentVolumeClaim"}},
            "quota: 11Gi is more than the claim of 10Gi holds (say 10Gi or less, or claim more)",
        ),
    ],
)
def test_one_problem(artifacts: dict[str, Any], expected: str) -> None:
    assert expected in problem_of(artifacts)


def test_no_field_of_a_job_takes_a_secret() -> None:
    """What the CRD has is a reference; a new field that holds a key should fail here."""
    text = json.dumps(schema_of_artifacts()["properties"]["storage"])
    fields = {"url", "endpoint", "region", "credentialsSecretRef"}
    store = schema_of_artifacts()["properties"]["storage"]["properties"]["objectStore"]
    assert store["properties"].keys() == fields
    assert "default" not in text.replace("default class", "")
