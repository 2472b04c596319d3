"""Open the store that a hub's order asks for, and say at once what is wrong with a bucket.

The library for buckets is loaded only when there is one. Credentials come from the environment
(AWS_ACCESS_KEY_ID and its like, or the role of the machine); none is written or said anywhere.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from atoll_api.hub_order import ArtifactStore, BucketStore, FolderStore
from atoll_worker.errors import FinalError, InUseError, UnavailableError, WorkerError
from atoll_worker.exchange import refusals
from atoll_worker.exchange.room import Limits
from atoll_worker.exchange.store import Store

if TYPE_CHECKING:
    from obstore.store import S3Store

    from atoll_worker.exchange.claim import BucketClaim

FIRST_SECONDS: Final = 15.0
"""How long a bucket may take to give its first answer."""
_LATER_SECONDS: Final = 8.0
"""After that: less than a caller's deadline, so that it is told why, and tries again."""
_REQUEST_SECONDS: Final = 300.0
"""One part of a pack over a slow link."""
_CONNECT_SECONDS: Final = 5.0
_UNFIT: Final = frozenset({"400", "404"})


@contextmanager
def opened(
    wanted: ArtifactStore, quota_bytes: int | None, first_seconds: float = FIRST_SECONDS
) -> Iterator[Store]:
    """Use the store in a folder or a bucket, and close it.

    Args:
        wanted: which.
        quota_bytes: see `Limits`.
        first_seconds: how long a bucket may take to give its first answer.

    Raises:
        FinalError: the bucket is not there, refuses the credentials, or has never answered.
        UnavailableError: the bucket does not answer, but has before.
        InUseError: another process uses the folder, or another hub the prefix of the bucket.
        NoSpaceError: the folder cannot be written.
    """
    if isinstance(wanted, FolderStore):
        with closing(Store(Path(wanted.folder), limits=Limits(quota_bytes))) as store:
            yield store
        return
    try:
        from atoll_worker.exchange.objects import open_bucket  # noqa: PLC0415 - only if asked for
    except ImportError as error:
        raise FinalError(
            f"{_name(wanted)} needs the extra `objects`: pip install 'atoll[objects]'"
        ) from error
    bucket = _bucket(wanted, _LATER_SECONDS)
    claim = _claimed(wanted, first_seconds)
    try:
        store = open_bucket(bucket, Path(wanted.spool), _url(wanted), quota_bytes=quota_bytes)
    except InUseError:
        raise  # by a process of our own name, whose claim it is
    except WorkerError:
        claim.release()
        raise
    try:
        yield store
    finally:
        claim.release()  # while the folder is still ours: nobody else has our name now
        store.close()


def _claimed(wanted: BucketStore, patience_seconds: float) -> "BucketClaim":
    """Take the prefix; the first requests, which show what is wrong with the bucket."""
    from obstore.exceptions import BaseError, PermissionDeniedError  # noqa: PLC0415 - see above

    from atoll_worker.exchange.claim import BucketClaim  # noqa: PLC0415 - see above

    bucket = _bucket(wanted, patience_seconds)
    try:
        bucket.list_with_delimiter()
        return BucketClaim(bucket, wanted.holder, _name(wanted))
    except PermissionDeniedError as error:
        raise FinalError(
            f"{_name(wanted)} cannot be written: these credentials may only list; allow them to "
            "get, put and delete"
        ) from error
    except BaseError as error:
        raise _explain(wanted, str(error)) from error


def _explain(wanted: BucketStore, said: str) -> WorkerError:
    name, status = _name(wanted), refusals.status_of(said)
    why = refusals.why_refused(said)
    if why is not None:
        return FinalError(f"{name}: {why}")
    if status in _UNFIT:
        return FinalError(
            f"{name} refused to be listed ({refusals.code_of(said)}): check "
            "artifacts.storage.objectStore and the credentials"
        )
    line = refusals.in_short(said)
    if status.startswith("5") or _opened_before(wanted):
        return UnavailableError(f"{name} does not answer ({line})")
    return FinalError(
        f"{name} cannot be reached: check artifacts.storage.objectStore.endpoint and the network "
        f"({line})"
    )


def _opened_before(wanted: BucketStore) -> bool:
    """Whether the hub of this folder has had the bucket's answer; then patience may help."""
    return (Path(wanted.spool) / "LOCK").exists()


def _bucket(wanted: BucketStore, patience_seconds: float) -> "S3Store":
    from obstore.store import S3Store  # noqa: PLC0415 - only if asked for

    chosen: dict[str, Any] = {"endpoint": wanted.endpoint, "region": wanted.region}
    return S3Store(
        wanted.bucket,
        prefix=wanted.prefix,
        client_options={
            "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
            "timeout": timedelta(seconds=_REQUEST_SECONDS),
            "allow_http": wanted.endpoint is not None and wanted.endpoint.startswith("http://"),
        },
        retry_config={"retry_timeout": timedelta(seconds=patience_seconds)},
        **{key: value for key, value in chosen.items() if value is not None},
    )


def _name(wanted: BucketStore) -> str:
    at = f" at {wanted.endpoint}" if wanted.endpoint else ""
    return f"{_url(wanted)}{at}"


def _url(wanted: BucketStore) -> str:
    return f"s3://{wanted.bucket}/{wanted.prefix}"
