"""One hub a prefix of a bucket: whoever puts the object HOLDER first has it, until it lets go.

Two hubs below one prefix would collect what the other is about to bind. A hub that was killed
left its name there; it, or the one that takes its place, goes on under the same name.
"""

from contextlib import suppress
from typing import Final

from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import ObjectStore

from atoll_worker.errors import FinalError, InUseError

NAME: Final = "HOLDER"


class BucketClaim:
    """The right to use a prefix, until `release`.

    Args:
        bucket: with its prefix and credentials.
        holder: who claims; the same again after a crash.
        where: the prefix, for people.

    Raises:
        InUseError: another hub has it.
        FinalError: the store replaces objects that it was told not to.
        obstore.exceptions.BaseError: as the store says.
    """

    def __init__(self, bucket: ObjectStore, holder: str, where: str) -> None:
        self._bucket = bucket
        other = self._put(holder)
        if other is None:
            other = self._put(holder)
            if other is None:
                raise FinalError(
                    f"{where}: this store replaces objects that it was told not to, so two runs "
                    "could harm each other: use one with conditional puts (If-None-Match)"
                )
        if other != holder:
            raise InUseError(
                f"{where} belongs to another run of this job, {other}: stop it, or give this job "
                f"another name; if that run is gone, remove the object {NAME} there"
            )

    def release(self) -> None:
        """Let another hub have the prefix; a store that is away keeps our name."""
        with suppress(BaseError):
            self._bucket.delete(NAME)

    def _put(self, holder: str) -> str | None:
        """Who had the prefix before; None if nobody did."""
        try:
            self._bucket.put(NAME, holder.encode(), mode="create")
        except AlreadyExistsError:
            try:
                return bytes(self._bucket.get(NAME).bytes()).decode(errors="replace")[:300]
            except NotFoundError:
                return self._put(holder)  # it was let go in between
        return None
