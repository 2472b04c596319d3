"""What a job keeps, where, and how much that may take: `spec.artifacts`.

No credentials: they never stand in a job, and a URL that holds some is refused.
"""

import re
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from atoll_api.base import FrozenModel, Items, TaggedUnion
from atoll_api.spec.object_names import SUBDOMAIN_PATTERN
from atoll_api.units import ByteCount

_BUCKET: Final = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_PREFIX: Final = r"(/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*/?"
_HOST: Final = r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
_PATH: Final = r"(/[A-Za-z0-9._-]+)*/?"
_URL_PATTERN: Final = rf"^s3://{_BUCKET}{_PREFIX}$"
_ENDPOINT_PATTERN: Final = rf"^https?://{_HOST}{_PATH}$"


_CREDENTIALS: Final = (
    "should hold no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
)


def _url_problem(url: str) -> str:
    """What is wrong with the URL of an object store; empty for nothing."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if "@" in rest:
        return _CREDENTIALS
    if scheme != "s3" or not rest:
        return "should begin with s3://, such as s3://my-bucket/atoll"
    if not re.fullmatch(_BUCKET, bucket):
        return "should name a bucket: 3 to 63 lower-case letters, digits, '.' and '-'"
    if not re.fullmatch(_PREFIX, f"/{prefix}" if prefix else ""):
        return "should have a prefix of letters, digits, '.', '_', '=' and '-' between single '/'"
    return ""


def _endpoint_problem(endpoint: str) -> str:
    """What is wrong with the address of an object store; empty for nothing."""
    if "@" in endpoint:
        return _CREDENTIALS
    if not endpoint.startswith(("https://", "http://")):
        return "should begin with https:// or http://, such as https://minio.example.org:9000"
    if not re.fullmatch(_ENDPOINT_PATTERN, endpoint):
        return "should be a host and, optionally, a port and a path, with no query"
    return ""


def _checked_url(value: object) -> object:
    return _refuse("url", _url_problem(value), value) if isinstance(value, str) else value


def _checked_endpoint(value: object) -> object:
    return _refuse("endpoint", _endpoint_problem(value), value) if isinstance(value, str) else value


def _refuse(kind: Literal["url", "endpoint"], problem: str, value: str) -> str:
    if problem:
        raise PydanticCustomError(kind, "{problem}", {"problem": problem})
    return value


_Url = Annotated[str, Field(pattern=_URL_PATTERN, max_length=1024), BeforeValidator(_checked_url)]
_Endpoint = Annotated[
    str, Field(pattern=_ENDPOINT_PATTERN, max_length=1024), BeforeValidator(_checked_endpoint)
]


class PersistentVolumeClaim(FrozenModel):
    """A volume that the operator claims for the job. `atoll run` uses the run's folder instead."""

    size: ByteCount = "10Gi"
    storage_class_name: str | None = Field(default=None, pattern=SUBDOMAIN_PATTERN, max_length=253)
    """The cluster's default class when left out."""
    access_modes: Items[Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]] = Field(
        default=("ReadWriteOnce",), min_length=1, max_length=3
    )
    """What the class has to offer; ReadWriteOncePod keeps a second hub out in every case."""


class SecretReference(FrozenModel):
    """A Secret in the job's namespace."""

    name: str = Field(pattern=SUBDOMAIN_PATTERN, max_length=253)


class ObjectStore(FrozenModel):
    """A bucket of S3, or of what speaks its protocol: MinIO, Ceph, R2 and others."""

    url: _Url
    """`s3://BUCKET/PREFIX`; the job keeps its objects below PREFIX/NAME-UID."""
    endpoint: _Endpoint | None = None
    """Where the store answers, if it is not Amazon's: `https://minio.example.org:9000`."""
    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$", max_length=64)
    """AWS_REGION, or us-east-1, when left out."""
    credentials_secret_ref: SecretReference | None = None
    """On a cluster: a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and
    AWS_SESSION_TOKEN), which become the environment of the hub alone. `atoll run` takes these
    from its environment."""


class Storage(TaggedUnion):
    """Where the hub keeps artifacts.

    EmptyDir: on the disk of the hub's pod, gone with it; for `atoll run`, in the run's folder.
    """

    members: ClassVar[dict[str, str | None]] = {
        "EmptyDir": None,
        "PersistentVolumeClaim": "persistent_volume_claim",
        "ObjectStore": "object_store",
    }
    type: Literal["EmptyDir", "PersistentVolumeClaim", "ObjectStore"] = "EmptyDir"
    persistent_volume_claim: PersistentVolumeClaim | None = None
    object_store: ObjectStore | None = None


class Artifacts(FrozenModel):
    """What stays in the hub, where, and how much it may take."""

    keep: Literal["Final", "All"] = "Final"
    """Final: an island's checkpoints go once its expert is there. All: they stay, the last
    two of each island while it trains included."""
    storage: Storage = Storage()
    quota: ByteCount | None = None
    """What all artifacts of the job may take, unfinished uploads included; whoever would take
    more fails and says so. As much as the storage holds when left out."""
