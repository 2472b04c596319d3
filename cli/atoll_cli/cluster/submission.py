"""A job from a file to a cluster: made once, and after that only what may change is changed."""

from dataclasses import dataclass
from typing import Literal

from atoll_api import names
from atoll_api.problems import InvalidJobError, Problem, parse_job
from atoll_api.spec import TrainingJob
from atoll_api.spec.data import Data
from atoll_cli.cluster import jobs
from atoll_cli.cluster.changes import Changes, Json, changes
from atoll_cli.cluster.jobs import JobOnCluster
from atoll_cli.cluster.place import Place
from atoll_cli.errors import CliError, ExitCode
from atoll_operator.errors import AlreadyExistsError
from atoll_operator.kubernetes.api import Api
from atoll_operator.kubernetes.resources import TRAINING_JOBS


@dataclass(frozen=True)
class Submission:
    """A job that is to be on a cluster: as the user wrote it, and as the types read it.

    What is sent is what was written: defaults are filled in by the cluster, as its release has them.
    """

    document: Json
    job: TrainingJob

    @property
    def name(self) -> str:
        """Of the job."""
        return self.job.metadata.name

    def body(self, place: Place) -> Json:
        """The object to be made."""
        metadata = {**self.document["metadata"], "namespace": place.namespace}
        return {**self.document, "metadata": metadata}


@dataclass(frozen=True)
class Submitted:
    """What became of it.

    Attributes:
        outcome: what was done.
        changes: of what was there, if anything was.
        before: what was there.
    """

    outcome: Literal["Created", "Same", "Changed"]
    changes: Changes | None = None
    before: JobOnCluster | None = None


def place_of(submission: Submission, place: Place, *, namespace_given: bool) -> Place:
    """Where the job goes: its own namespace, where it names one.

    Raises:
        CliError: it names another one than the command line.
    """
    own = submission.job.metadata.namespace
    if own is None or own == place.namespace:
        return place
    if namespace_given:
        raise CliError(
            f"metadata.namespace is {own}, and -n says {place.namespace}: leave one of them out",
            ExitCode.USAGE,
        )
    return Place(own, place.context, place.files, f"{place.flags} -n {own}")


def check_data(job: TrainingJob) -> None:
    """Refuse data that only whoever reads the file here could find.

    Raises:
        InvalidJobError: with every such source.
    """
    hint = (
        "mount a volume with them (spec.template.volumes) and name the path there: file:///data/..."
    )
    problems = [
        Problem(path, f"{data.source} is a path beside this file, which no pod has", hint)
        for path, data in _sources(job)
        if data.source.startswith("file://") and not data.source.startswith("file:///")
    ]
    if problems:
        raise InvalidJobError(problems)


def _sources(job: TrainingJob) -> list[tuple[str, Data]]:
    spec = job.spec
    own = [
        (f"spec.islands.overrides[{number}].data.source", it.data)
        for number, it in enumerate(spec.islands.overrides)
        if it.data is not None
    ]
    judged = spec.evaluation.data
    shared = [("spec.evaluation.data.source", judged)] if judged is not None else []
    return [("spec.data.source", spec.data), *shared, *own]


async def submit(api: Api, place: Place, wanted: Submission, *, dry_run: bool) -> Submitted:
    """Make the job, or make of the one that is there what is wanted.

    Args:
        api: Of the cluster.
        place: Where.
        wanted: The job.
        dry_run: Look, and change nothing.

    Raises:
        CliError: another job is there, or one that is going.
    """
    if not dry_run:
        try:
            await api.create(TRAINING_JOBS, wanted.body(place))
        except AlreadyExistsError:
            pass
        else:
            return Submitted("Created")
    known = await jobs.find(api, place, wanted.name)
    if known is None:
        return Submitted("Created")
    return await _change(api, known, wanted, dry_run=dry_run)


async def _change(api: Api, known: JobOnCluster, wanted: Submission, *, dry_run: bool) -> Submitted:
    view = known.view
    if view.deleting:
        raise CliError(f"{wanted.name}: is being deleted: wait until it is gone, then submit again")
    found = changes(_parsed(known), wanted.job, wanted.document)
    if found.refused:
        raise CliError(
            f"{wanted.name}: is there already, and is another job: {found.why_refused}: only "
            "suspend and runPolicy may change, and quorum may fall: give it another name, or "
            f"`atoll delete {wanted.name}` first",
            ExitCode.IN_USE,
        )
    if not found.patch:
        return Submitted("Same", before=known)
    if not dry_run:
        await jobs.change(api, known, found.patch)
    return Submitted("Changed", found, known)


def _parsed(known: JobOnCluster) -> TrainingJob:
    try:
        return parse_job(known.document())
    except InvalidJobError as error:
        name = known.name
        raise CliError(
            f"{name}: is there already, as a job that {names.API_VERSION} of this release does not "
            f"read ({error.problems[0]}): `atoll delete {name}` first, or give it another name",
            ExitCode.IN_USE,
        ) from error


def sentences(done: Submitted, name: str, place: Place, *, dry_run: bool) -> list[str]:
    """What became of a job, for people."""
    would = "would be " if dry_run else ""
    look = f"; `atoll status {name}{place.flags} --watch` shows how far it is"
    match done.outcome:
        case "Created":
            where = f"namespace {place.namespace} of {place.title}"
            return [f"{name}: {would}created in {where}{'' if dry_run else look}"]
        case "Same":
            return [f"{name}: is there already, and is the same job{_state(done)}"]
        case "Changed":
            told = done.changes.told if done.changes else ()
            return [f"{name}: {would}changed: {it}" for it in told]


def _state(done: Submitted) -> str:
    """How far it is, and what may be done about it if that is nowhere."""
    if done.before is None:
        return ""
    hints = {
        "Suspended": "`atoll resume` lets it go on",
        "Failed": "`atoll delete` it first to try again",
        "Complete": "`atoll delete` it first to train again",
    }
    state = done.before.status.state
    return f": it is {state}" + (f"; {hints[state]}" if state in hints else "")
