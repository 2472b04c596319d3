"""Run one plan with real processes, and gather what came of it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import real_world as world
from jobs_of_faults import DATA, write_data
from plans import FaultPlan
from real_faults import Struck, strike
from stage import Stage

MOST_RUNS: Final = 8
"""A person follows what a message says, but not for ever."""
_REMOVE: Final = re.compile(r"remove (/\S+?\.json)")
_REMOVE_IT: Final = re.compile(r"(/\S+\.json) (?:was altered|is no|has no).*remove it")


@dataclass(frozen=True)
class Story:
    """What came of one run.

    Attributes:
        endings: exit code and output of each `atoll run`.
        status: the last one.
        digests: what is bound at the end.
        named: every digest that a status has named, by artifact.
        left: processes that outlived it.
        listening: where somebody still listens.
        locked: whether somebody still has the folder.
        remedies: what was done because a message said so.
        unreadable: artifacts that cannot be had at the end.
        records: what each island noted of each round, by ref.
        histories: how each island that merges came to its last weights, by ref.
    """

    plan: FaultPlan
    job: Path
    folder: Path
    endings: tuple[tuple[int, str], ...]
    status: Mapping[str, Any]
    digests: Mapping[str, str]
    named: Mapping[str, frozenset[str]]
    struck: tuple[Struck, ...]
    left: tuple[str, ...]
    listening: tuple[str, ...]
    locked: bool
    remedies: tuple[str, ...]
    unreadable: Mapping[str, str]
    records: Mapping[str, Mapping[str, Any]]
    histories: Mapping[str, Sequence[Mapping[str, Any]]]
    files: tuple[str, ...]
    """All that lies in the folder."""
    removed: frozenset[str] = frozenset()
    """Names of files that were removed because a message said so."""

    def condition(self, kind: str) -> Mapping[str, Any]:
        """A condition of the status, if it is true."""
        found = (it for it in self.status.get("conditions", []) if it["type"] == kind)
        return next((it for it in found if it["status"] == "True"), {})


def tell(plan: FaultPlan, place: Path, data: Path) -> Story:
    """Run the job of a plan's strategy in a place that is not there yet.

    The report names the data: runs that are to be compared read the same.
    """
    with Stage(plan, place, data) as stage:
        stage.start()
        struck = tuple(strike(stage, fault) for fault in plan.faults)
        remedies = _to_the_end(stage)
        stage.settle()
        left, network = tuple(stage.left()), stage.network
        listening = tuple(network.listening()) if network else ()
        digests = world.refs(stage.folder)
        return Story(
            plan=plan,
            job=stage.job,
            folder=stage.folder,
            endings=tuple(stage.endings),
            status=stage.run.status(),
            digests=digests,
            named={name: frozenset(it) for name, it in stage.named.items()},
            struck=struck,
            left=left,
            listening=listening,
            locked=world.is_locked(stage.folder),
            remedies=remedies,
            unreadable=world.unreadable(stage.folder),
            records={it: world.said(stage.folder, it) for it in digests if "/merges/" in it},
            histories={it: _history(stage.folder, it) for it in digests if it.endswith("/final")},
            files=tuple(str(it.relative_to(stage.folder)) for it in stage.folder.rglob("*")),
            removed=frozenset(stage.removed),
        )


def _history(folder: Path, ref: str) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = world.said(folder, ref).get("rounds", [])
    return found


def _to_the_end(stage: Stage) -> tuple[str, ...]:
    """Do what messages say, and run again, until the run is complete and all of it can be read."""
    remedies: list[str] = []
    while len(stage.endings) < MOST_RUNS:
        code, output = stage.end()
        stage.settle()
        words = output if code else _unreadable(stage)
        if not words:
            return tuple(remedies)
        done = _remedy(stage, words)
        if not done:
            return (*remedies, f"no way out is told: {words}")
        remedies.append(done)
        stage.start()
    return (*remedies, "all in vain")


def _unreadable(stage: Stage) -> str:
    return "\n".join(world.unreadable(stage.folder).values())


def _remedy(stage: Stage, words: str) -> str:
    """What a person does who reads this."""
    words = re.sub(r"\s+", " ", words)
    paths = [Path(it) for it in {*_REMOVE.findall(words), *_REMOVE_IT.findall(words)}]
    paths = [it for it in paths if it.exists()]
    if paths:
        for path in paths:
            path.unlink()
            stage.removed.add(path.name)
        return f"removed {', '.join(sorted(it.name for it in paths))}"
    if re.search("free some space", words):
        return "freed space"
    if re.search("another --out|another folder|start a new job", words):
        stage.elsewhere()
        return "took another folder"
    return ""


@dataclass
class Calm:
    """Runs that nobody disturbs, one a strategy, each done when it is first asked for."""

    place: Path
    data: Path = field(init=False)
    _known: dict[str, Story] = field(default_factory=dict)

    def __post_init__(self) -> None:
        write_data(self.place)
        self.data = self.place / DATA

    def of(self, strategy: str) -> Story:
        """The one of a strategy."""
        if strategy not in self._known:
            story = tell(FaultPlan(0, strategy), self.place / strategy, self.data)
            assert [code for code, _ in story.endings] == [0], story.endings
            self._known[strategy] = story
        return self._known[strategy]


def row(story: Story) -> str:
    """For the table: seed, plan, outcome, seconds to continue."""
    faults = "; ".join(map(str, story.plan.faults))
    seconds = ", ".join("-" if it.seconds is None else f"{it.seconds:.1f} s" for it in story.struck)
    notes = "; ".join(filter(None, [*(it.note for it in story.struck), *story.remedies]))
    state = "Degraded" if story.condition("Degraded") else story.status.get("state", "?")
    codes = ",".join(str(code) for code, _ in story.endings)
    return json.dumps(
        [story.plan.seed, story.plan.strategy, faults, f"{state} ({codes})", seconds, notes]
    )
