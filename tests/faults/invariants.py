"""What has to hold after a run under faults, whatever they were. Each check says what is wrong, or nothing."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from plans import FaultPlan
from records import readable, records
from replay import Participation, replay
from sim_disk import FaultyDisk
from sim_time import HungError
from simulated import Story, simulate

from atoll_api import names
from atoll_operator.plan.model import Complete, Failed
from atoll_worker.exchange.manifest import ABSENCE

ISLANDS: Final = 3
MAY_END: Final[Mapping[str, str]] = {
    "full": r"No space left on device",
    "flip": r"altered|damaged|lost|not readable|cannot be read|this version reads",
    "truncate": r"altered|damaged|lost|not readable|cannot be read|this version reads",
    "doom": r"exit code 137 \(SIGKILL\) after 3 restarts",
}
"""Kinds after which a job may fail, and what its message then says."""


def found(plan: FaultPlan, folder: Path, calm: Story, disk: FaultyDisk | None = None) -> list[str]:
    """Run a plan, and say all that is wrong; that it does not end is, too."""
    try:
        return broken(simulate(plan, folder, disk), calm)
    except HungError as error:
        return [str(error)]


def broken(story: Story, calm: Story) -> list[str]:
    """All that is wrong with a run, beside the same job's without faults."""
    return [
        *story.ledger.wrong,
        *_ending(story),
        *_left_behind(story),
        *_told(story),
        *_results(story, calm),
    ]


def _ending(story: Story) -> Iterator[str]:
    plan, outcome = story.plan, story.outcome
    if isinstance(outcome, Failed):
        allowed = [MAY_END[it.kind] for it in plan.faults if it.kind in MAY_END]
        if not any(re.search(words, outcome.message) for words in allowed):
            yield f"failed for no reason that was planned: {outcome}"
    elif not isinstance(outcome, Complete):
        yield f"ended as {outcome}"
    lost = [it.island for it in story.status.islands if it.state == "Failed"]
    if lost and not plan.has("doom", "full", "flip", "truncate"):
        yield f"islands {lost} are lost"
    degraded = any(it.type == "Degraded" and it.status == "True" for it in story.status.conditions)
    if isinstance(outcome, Complete) and degraded != bool(lost):
        yield f"islands {lost} are lost, and the status says {story.status.conditions}"


def _left_behind(story: Story) -> Iterator[str]:
    if story.alive:
        yield f"still alive: {', '.join(story.alive)}"
    drafts = [str(it) for it in story.folder.rglob("*") if "draft" in it.name]
    if drafts:
        yield f"drafts are left: {drafts}"
    if isinstance(story.outcome, Complete):
        parts = [
            it.name for it in story.disk.files() if re.fullmatch(r"[0-9a-f]{64}.part", it.name)
        ]
        if parts:
            yield f"uploads are left: {parts}"


def _told(story: Story) -> Iterator[str]:
    """The status, the events and the end say the same."""
    if story.status.state != type(story.outcome).__name__:
        yield f"the status says {story.status.state}, the end is {story.outcome}"
    if not story.ledger.damaged:
        yield from story.gone
    again = [ref for ref, it in story.ledger.history.items() if "/merges/" in ref and len(it) > 1]
    if again and not story.ledger.damaged:
        yield f"rounds were told twice: {again}"
    if story.idle_writes:
        yield f"{story.idle_writes} statuses were written that said nothing new"
    named = {it.name: it.digest for it in story.status.artifacts}
    for ref, digest in named.items():
        if story.digests.get(ref) != digest and not story.ledger.damaged:
            yield f"the status names {ref} as {digest}, the hub has {story.digests.get(ref)}"


def _results(story: Story, calm: Story) -> Iterator[str]:
    """The same digests; or what the records of the run say, where time decided who took part."""
    if not isinstance(story.outcome, Complete):
        return
    if _took_part_otherwise(story):
        if _an_altered_record(story):
            return  # nobody knows who took part
        yield from _rounds(story, calm)
        yield from _shares(story, calm)
        yield from _replayed(story)
        return
    differ = sorted(
        ref
        for ref in story.digests.keys() | calm.digests.keys()
        if story.digests.get(ref) != calm.digests.get(ref)
    )
    if story.ledger.damaged:  # whoever reads it is told
        differ = [ref for ref in differ if _readable(story, ref)]
    lost = {it.island for it in story.status.islands if it.state == "Failed"}
    if lost:  # an ensemble goes on without; its report has read fewer experts
        gone = {names.expert_ref(it) for it in lost if it is not None} | {names.REPORT_REF}
        differ = [ref for ref in differ if ref not in gone]
    if differ:
        yield f"other digests than without faults: {differ}"


def _readable(story: Story, ref: str) -> bool:
    with story.store() as store:
        return readable(store, ref)


def _an_altered_record(story: Story) -> bool:
    """Whether a fault altered what an island noted of a round."""
    if not story.ledger.damaged:
        return False
    with story.store() as store:
        noted = [it.ref for it in store.bindings() if "/merges/" in it.ref]
        return not all(readable(store, ref) for ref in noted)


def _took_part_otherwise(story: Story) -> bool:
    """Whether an island was late or lost where islands merge."""
    with story.store() as store:
        said = records(store)
    return any(it["absent"] for it in said.values()) or any(
        ref.startswith("islands/") and ref.endswith("/lost") for ref in story.digests
    )


def _rounds(story: Story, calm: Story) -> Iterator[str]:
    """Every island that finished has told of each of its rounds."""
    with story.store() as store, calm.store() as calm_store:
        said, usual = records(store), records(calm_store)
    for island in set(range(ISLANDS)) - _lost(story):
        own = f"islands/{island}/"
        untold = [ref for ref in usual if ref.startswith(own) and ref not in said]
        if untold:
            yield f"island {island} finished, and did not tell of {untold}"


def _shares(story: Story, calm: Story) -> Iterator[str]:
    """What those who are missing would have counted, an island gives to itself; no other share moves."""
    with story.store() as store, calm.store() as calm_store:
        said, usual = records(store), records(calm_store)
    for ref, record in said.items():
        found, missing = record["shares"], record["absent"]
        expected = dict(usual[ref]["shares"])
        expected[ref.split("/")[1]] += sum(expected.pop(it) for it in missing)
        if found.keys() != expected.keys() or any(
            abs(found[it] - expected[it]) > 1e-9 for it in expected
        ):
            yield f"{ref} without {missing}: {found}, not {expected}"


def _replayed(story: Story) -> Iterator[str]:
    """The weights after each round, and the merged ones, are those of a calm run with the same peers."""
    with story.store() as store:
        said = records(store)
    late = (ref for ref, it in story.ledger.history.items() if it[0] == ABSENCE.digest)
    excused = {ref for ref in late if "/rounds/" in ref}
    again = replay(story.folder / "job.json", Participation.read(said, _lost(story), excused))
    for ref, record in said.items():
        replayed = again.records.get(ref)
        if replayed is None or record["result"] != replayed["result"]:
            yield f"{ref} is not what its peers make: {record}"
    if story.digests[names.MERGED_REF] != again.digests[names.MERGED_REF]:
        yield f"what was merged is not what its islands make, without {sorted(_lost(story))}"


def _lost(story: Story) -> set[int]:
    return {i for i in range(ISLANDS) if names.final_ref(i) not in story.digests}
