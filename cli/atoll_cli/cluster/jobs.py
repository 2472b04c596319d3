"""A job on a cluster: what the command line asks the API server of it, and does with it."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Final

from atoll_api.base import closest
from atoll_api.status import TrainingJobStatus
from atoll_cli.cluster.place import Place
from atoll_cli.cluster.refusals import is_unknown_kind, no_namespace
from atoll_cli.errors import CliError, ExitCode
from atoll_operator.errors import ApiError, ForbiddenError, NotFoundError
from atoll_operator.kubernetes.api import Api, Json, Key, Selection
from atoll_operator.kubernetes.resources import NAMESPACES, TRAINING_JOBS
from atoll_operator.kubernetes.training_jobs import JobView, view_of

LOOK_SECONDS: Final = 1.0
"""Between two looks at a job. Operators write numbers every ten seconds, a change at once; a watch
of one object would need a right that whoever may read it need not have."""
PATIENCE_SECONDS: Final = 120.0
"""How long an API server may be away while a job is watched: long enough to be updated."""
_PAGE_SIZE: Final = 500
_NAMED: Final = 12
"""Other jobs that a message names."""


@dataclass(frozen=True)
class JobOnCluster:
    """One version of a job."""

    view: JobView
    annotations: Mapping[str, str]
    heard: bool
    """Whether an operator has said anything of it."""

    @property
    def name(self) -> str:
        """Of the job."""
        return self.view.key.name

    def document(self) -> Json:
        """What a user would have written."""
        document = self.view.document()
        metadata = {**document["metadata"], "annotations": dict(self.annotations)}
        return {**document, "metadata": metadata}

    @property
    def status(self) -> TrainingJobStatus:
        """What it says of itself; pending as long as nobody has said anything.

        Raises:
            CliError: an operator of another release has written it.
        """
        if self.view.status is None and self.heard:
            raise CliError(
                f"{self.name}: its status is of another release: use the `atoll` of the "
                "operator's release",
                ExitCode.FINAL,
            )
        return self.view.status or TrainingJobStatus()


def job_of(body: Json) -> JobOnCluster:
    """A job as the API server has it."""
    annotations = body["metadata"].get("annotations") or {}
    return JobOnCluster(view_of(body), annotations, heard=bool(body.get("status")))


async def read(api: Api, place: Place, name: str) -> JobOnCluster:
    """The job of that name, now.

    Raises:
        CliError: there is none.
    """
    found = await find(api, place, name)
    if found is None:
        raise await _absent(api, place, name)
    return found


async def find(api: Api, place: Place, name: str) -> JobOnCluster | None:
    """The job of that name, now; None if there is none.

    Raises:
        CliError: there is no such namespace.
    """
    try:
        return job_of(await api.get(TRAINING_JOBS, Key(place.namespace, name)))
    except NotFoundError as error:
        if is_unknown_kind(error):
            raise
    if await _lacks_namespace(api, place):
        raise no_namespace(place)
    return None


async def change(api: Api, known: JobOnCluster, patch: Json) -> None:
    """Change a job, if it still is what it was seen to be.

    Raises:
        ConflictError: it is not.
    """
    version = {"resourceVersion": known.view.resource_version}
    metadata = {**patch.get("metadata", {}), **version}
    await api.merge_patch(TRAINING_JOBS, known.view.key, {**patch, "metadata": metadata})


async def suspend(api: Api, place: Place, name: str, *, wanted: bool) -> bool:
    """Stop a job with its work saved, or let it go on; False if that is how it is already.

    Raises:
        CliError: there is none, or it has ended.
    """
    known = await read(api, place, name)
    if known.status.state in ("Complete", "Failed"):
        verb = "suspend" if wanted else "resume"
        raise CliError(f"{name}: is {known.status.state}: there is nothing to {verb}")
    if known.view.suspended == wanted:
        return False
    await api.merge_patch(TRAINING_JOBS, known.view.key, {"spec": {"suspend": wanted}})
    return True


async def delete(api: Api, known: JobOnCluster) -> None:
    """Delete this very job, and with it all that it owns.

    Raises:
        ConflictError: another job has its name by now.
    """
    await api.delete(TRAINING_JOBS, known.view.key, uid=known.view.uid)


async def read_all(api: Api, place: Place, page_size: int = _PAGE_SIZE) -> list[JobOnCluster]:
    """All jobs of a place, by namespace and name.

    Raises:
        CliError: there is no such namespace.
    """
    found: list[JobOnCluster] = []
    token = ""
    while True:
        selection = Selection(TRAINING_JOBS, place.namespace)
        page = await api.list_page(selection, limit=page_size, continue_token=token)
        found += map(job_of, page.items)
        token = page.continue_token
        if not token:
            break
    if not found and await _lacks_namespace(api, place):
        raise no_namespace(place)
    return sorted(found, key=lambda it: it.view.key)


async def watch(
    api: Api, place: Place, name: str, look_seconds: float = LOOK_SECONDS
) -> AsyncGenerator[JobOnCluster, None]:
    """Each new version of a job, for as long as it is there.

    Raises:
        CliError: there is none, or there is none any more.
        ApiError: the server was away for longer than anybody's patience.
    """
    seen = await read(api, place, name)
    yield seen
    clock = asyncio.get_running_loop().time
    heard_at = clock()
    while True:
        await asyncio.sleep(look_seconds)
        try:
            new = job_of(await api.get(TRAINING_JOBS, seen.view.key))
        except NotFoundError:
            raise CliError(f"{name}: was deleted") from None
        except ApiError as error:
            if not error.retryable or clock() - heard_at > PATIENCE_SECONDS:
                raise
            continue
        heard_at = clock()
        if new.view.uid != seen.view.uid:
            raise CliError(f"{name}: was deleted, and another job of that name was made")
        if new.view.resource_version != seen.view.resource_version:
            seen = new
            yield new


async def _absent(api: Api, place: Place, name: str) -> CliError:
    """Why there is no such job, and which ones there are."""
    try:
        known = [it.name for it in await read_all(api, place)]
    except ForbiddenError:
        known = []
    where = f"{name}: no TrainingJob of that name in namespace {place.namespace} of {place.title}"
    if guess := closest(name, known):
        return CliError(f"{where}; did you mean {guess}?")
    named = ", ".join(known[:_NAMED]) + (", ..." if len(known) > _NAMED else "")
    return CliError(f"{where}; there is: {named or 'none'}")


async def _lacks_namespace(api: Api, place: Place) -> bool:
    """Not known to those who may not ask."""
    if not place.namespace:
        return False
    try:
        await api.get(NAMESPACES, Key("", place.namespace))
    except NotFoundError:
        return True
    except ForbiddenError:
        pass
    return False
