"""What has to hold after a run of real processes under faults. Each check says what is wrong, or nothing."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from real_plans import DAMAGE, ISLANDS, MERGING
from real_runs import Story
from real_world import file_of
from replay import Participation, replay

from atoll_api import names
from atoll_api.exit_codes import ExitCode

_KILLED: Final = -9
_OF_RUN: Final[Mapping[str, tuple[int, ...]]] = {
    "crash": (_KILLED,),
    "interrupt": (ExitCode.INTERRUPTED,),
    "terminate": (ExitCode.TERMINATED,),
    "flip": (_KILLED, ExitCode.FAILED, ExitCode.FINAL, ExitCode.IN_USE),
    "truncate": (_KILLED, ExitCode.FAILED, ExitCode.FINAL, ExitCode.IN_USE),
    "full": (ExitCode.NO_SPACE,),
}
"""With what `atoll run` may end, beside OK, under a kind of fault; a last run ends with OK under all."""
_WORDS: Final[Mapping[int, str]] = {
    ExitCode.FAILED: r"was altered|is lost or",
    ExitCode.FINAL: r"was altered|is lost or|is no status|is no job|no readable metrics",
    ExitCode.IN_USE: r"holds another job|holds results but no job",
    ExitCode.NO_SPACE: r"No space left on device",
}
"""What it says then: the truth."""

_OF_WEIGHTS: Final = (names.MEAN_REF, names.MERGED_REF, names.REPORT_REF)
"""What is made of the last weights of all islands."""
_MADE: Final = ("assignment", "experts/", "router", "baseline", "merged", "report")
"""What a step is for, and makes again."""


def broken(story: Story, calm: Story) -> list[str]:
    """All that is wrong with a run, beside the same job's without faults."""
    found = (
        *_endings(story),
        *_state(story),
        *_left(story),
        *_files(story),
        *_artifacts(story),
        *_digests(story, calm),
        *_rounds(story, calm),
    )
    return [f"{story.plan}: {it}" for it in found]


def _endings(story: Story) -> Iterator[str]:
    """Each `atoll run` ended as its fault allows, and said the truth; the last one well."""
    allowed = {code for it in story.plan.faults for code in _OF_RUN.get(it.kind, ())}
    for code, output in story.endings:
        if code not in {ExitCode.OK, *allowed}:
            yield f"`atoll run` ended with {code}: {output}"
        elif code in _WORDS and not re.search(_WORDS[code], " ".join(output.split())):
            yield f"`atoll run` ended with {code} for another reason: {output}"
    if story.endings[-1][0] != ExitCode.OK:
        yield f"the last `atoll run` ended with {story.endings[-1]}; done so far: {story.remedies}"
    for it in story.struck:
        if not it.hit:
            yield f"{it.fault} did not happen: {it.note}"


def _state(story: Story) -> Iterator[str]:
    """Complete; degraded where an island was doomed, and nowhere else."""
    if story.status["state"] != "Complete" or not story.condition("Complete"):
        yield f"the status says {story.status['state']}: {story.status['conditions']}"
    degraded, doomed = story.condition("Degraded"), story.plan.has("doom")
    if bool(degraded) != doomed:
        yield f"degraded: {degraded or 'not'}"
    lost = [it.fault.target for it in story.struck if it.fault.kind == "doom"]
    for step in lost:
        if not re.search(rf"{step} failed with exit code 137 \(SIGKILL\)", degraded["message"]):
            yield f"the status does not say why {step} is lost: {degraded['message']}"


def _left(story: Story) -> Iterator[str]:
    if story.left:
        yield f"processes are left: {story.left}"
    if story.listening:
        yield f"somebody listens still: {story.listening}"
    if story.locked:
        yield "the folder is locked"


def _files(story: Story) -> Iterator[str]:
    """No half of a file; `orders`, `logs` and `identity` stay, as the folder's page says."""
    halves = [it for it in story.files if re.search(r"\.draft$|\.json\.\d+$|^hub/incoming/", it)]
    if halves:
        yield f"half-written files are left: {halves}"


def _artifacts(story: Story) -> Iterator[str]:
    """What a status has named stands, as it was named, and can be had."""
    if story.unreadable:
        yield f"cannot be read: {story.unreadable}"
    remade = _remade(story)
    for ref, named in story.named.items():
        if ref in remade or (remade and ref in _OF_WEIGHTS):
            continue
        if len(named) > 1:
            yield f"{ref} was named as {sorted(named)}"
        elif story.digests.get(ref) not in named and not _is_given_up(story, ref):
            yield f"{ref} was named as {sorted(named)} and is {story.digests.get(ref, 'gone')}"


def _is_given_up(story: Story, ref: str) -> bool:
    """Whether it is there for a while only, or was removed on advice and nobody needs it any more."""
    needed = ref.startswith(_MADE) or ref.endswith("/final")
    removed = file_of(ref) in story.removed and not needed
    return "/rounds/" in ref or ref.endswith("/lost") or removed


def _digests(story: Story, calm: Story) -> Iterator[str]:
    """The same bits as without faults; or what the records of the run say, where time decided."""
    expected, found = dict(calm.digests), dict(story.digests)
    lost = _lost(story)
    if story.plan.strategy in MERGING and (lost or _is_late(story)):
        yield from _replayed(story, lost)
        return
    if _remade(story):  # one island went on alone, and all that is made of its weights is other
        measured = (it for it in expected if it.endswith("/statistics"))
        for it in [*_remade(story), *measured, *_OF_WEIGHTS]:
            expected.pop(it, None)
            found.pop(it, None)
    told_less = any(it.startswith("mergeability/") and _is_given_up(story, it) for it in expected)
    for it in [names.REPORT_REF, *map(names.expert_ref, lost)] if lost or told_less else []:
        expected.pop(it, None)
        found.pop(it, None)
    different = (it for it in {*expected, *found} if expected.get(it) != found.get(it))
    differ = sorted(
        it for it in different if not _is_timed(story, it) and not _is_given_up(story, it)
    )
    if differ:
        yield f"other digests than without faults: {differ}"


def _remade(story: Story) -> set[str]:
    """Last weights of islands whose last checkpoint, or weights, were altered; they say without whom.

    The snapshots of the rounds that are done again are dropped by then, and nobody else trains any more.
    """
    if not story.plan.has(*DAMAGE):
        return set()
    return {
        ref
        for ref, rounds in story.histories.items()
        if any("without" in it.get("note", "") for it in rounds)
    }


def _replayed(story: Story, lost: list[int]) -> Iterator[str]:
    """All but the report are those of a run in which nothing happened, and the same took part."""
    again = replay(story.job, Participation.read(story.records, lost))
    for ref, digest in story.digests.items():
        known = ref in (names.REPORT_REF, *map(names.lost_ref, lost)) or _is_timed(story, ref)
        if not known and again.digests.get(ref) != digest:
            yield f"{ref} is not what a replay comes to: {story.records.get(ref, digest)}"


def _is_timed(story: Story, ref: str) -> bool:
    """Whether time decides what a ref is bound to: how well islands merge on the way.

    With a deadline none waits for that to be measured, and a lost one takes its snapshots along. The
    report tells of it; no weight depends on it.
    """
    told = ref.startswith("mergeability/") or "/rounds/" in ref or ref == names.REPORT_REF
    return told and (story.plan.strategy == "deadline" or bool(_lost(story)))


def _rounds(story: Story, calm: Story) -> Iterator[str]:
    """Every island that finished told of every round, once."""
    if story.plan.strategy not in MERGING:
        return
    done = [it for it in range(ISLANDS) if names.final_ref(it) in story.digests]
    if sorted({*done, *_lost(story)}) != list(range(ISLANDS)):
        yield f"islands {done} finished, {_lost(story)} are lost"
    of_done = tuple(f"islands/{island}/" for island in done)
    missing = {it for it in calm.records if it.startswith(of_done)} - story.records.keys()
    untold = sorted(it for it in missing if not _is_given_up(story, it))
    if untold:
        yield f"rounds were not told of: {untold}"
    for ref, record in story.records.items():
        if abs(sum(record["shares"].values()) - 1.0) > 1e-6:
            yield f"{ref} has shares of {record['shares']}"
        both = record["absent"].keys() & record["snapshots"].keys()
        if both:
            yield f"{ref} merged with {both}, who were absent"


def _lost(story: Story) -> list[int]:
    return [it["island"] for it in story.status["islands"] if it["state"] == "Failed"]


def _is_late(story: Story) -> bool:
    """Whether time decided who took part in a round."""
    return any(it["absent"] for it in story.records.values())
