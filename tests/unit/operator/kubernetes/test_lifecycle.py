"""What counts as having happened to a job, and that it counts once, whoever looks and how often."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from recorded import job as recorded_job
from recorded import pods as recorded_pods
from seen_pods import Sight

from atoll_api.reasons import FAILED_STEPS
from atoll_api.status import ArtifactStatus, Condition, StepStatus, TrainingJobStatus
from atoll_operator.kubernetes.api import Key
from atoll_operator.kubernetes.lifecycle import (
    ENDS,
    Finished,
    Merged,
    Occurrence,
    Recovered,
    Restarted,
    Started,
    Trail,
    begin,
    finished,
    follow,
)
from atoll_operator.kubernetes.observing import Scene
from atoll_operator.kubernetes.training_jobs import JobView

CREATED = 1000.0
LATER = "1970-01-01T00:20:00Z"
"""1,200 s."""


def view(status: TrainingJobStatus | None = None, *, suspended: bool = False) -> JobView:
    return JobView(
        key=Key("team", "digits"),
        uid="job-uid",
        resource_version="1",
        generation=1,
        created_at=CREATED,
        deleting=False,
        labels={},
        strategy="ExpertEnsemble",
        suspended=suspended,
        spec=b"{}",
        told=status.model_dump_json(exclude_none=True).encode() if status else b"",
    )


def condition(kind: Any, reason: str, status: Any = "True") -> Condition:
    return Condition(
        type=kind, status=status, reason=reason, message="", last_transition_time=LATER
    )


def ended(kind: Any, reason: str) -> TrainingJobStatus:
    return TrainingJobStatus(
        state=kind, conditions=(condition(kind, reason),), completion_time=LATER
    )


@dataclass
class Leader:
    """Looks at what is there, again and again."""

    sight: Sight = field(default_factory=Sight)
    job: JobView = field(default_factory=view)
    now: float = 5000.0
    trail: Trail | None = None

    def looks(self) -> list[Occurrence]:
        if self.trail is None:
            self.trail = begin(self.job, self.sight.scene)
            return []
        self.trail, occurred = follow(self.trail, self.job, self.sight.scene, self.now)
        return list(occurred)


# -- the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "reason"), ENDS)
def test_every_end_is_counted_once_with_the_time_since_the_creation(kind: str, reason: str) -> None:
    after = view(ended(kind, reason))
    assert list(finished(None, after, 0.0)) == [Finished(kind, reason, 200.0)]
    assert list(finished(TrainingJobStatus(), after, 0.0)) == [Finished(kind, reason, 200.0)]
    assert not list(finished(after.status, after, 0.0))


def test_the_ends_are_those_of_the_list_of_reasons() -> None:
    assert ENDS[0] == ("Complete", "Finished")
    assert {reason for _, reason in ENDS} >= {*FAILED_STEPS.values(), "HubLost", "QuorumLost"}


def test_a_job_that_goes_on_has_not_ended() -> None:
    running = TrainingJobStatus(state="Running", conditions=(condition("Running", "Training"),))
    assert not list(finished(None, view(running), 0.0))
    assert not list(finished(None, view(), 0.0))


def test_an_end_from_before_the_first_look_is_of_an_earlier_leader() -> None:
    """Whose write a late watch told of only now."""
    after = view(ended("Complete", "Finished"))
    assert not list(finished(TrainingJobStatus(), after, 1201.0))
    assert list(finished(TrainingJobStatus(), after, 1200.9))


def test_an_end_that_atoll_does_not_know_is_no_label() -> None:
    assert not list(finished(None, view(ended("Failed", "SomebodysReason")), 0.0))


# -- islands ------------------------------------------------------------------------------------


def test_the_first_attempt_is_no_restart() -> None:
    here = Leader()
    here.looks()
    job = here.sight.add("island", 0)
    here.sight.makes(job, "a", 1010.0)
    assert here.looks() == []
    here.sight.runs("a", 1020.0)
    assert here.looks() == [Started(20.0)]
    assert here.looks() == []


@pytest.mark.parametrize(
    ("exit_code", "how", "reason"),
    [
        (1, {}, "Error"),
        (137, {}, "Error"),
        (137, {"out_of_memory": True}, "OOMKilled"),
        (83, {"disrupted": True}, "Disrupted"),
        (137, {"disrupted": True}, "Disrupted"),
    ],
)
@pytest.mark.parametrize("looks_between", [True, False])
def test_a_restart_has_the_reason_of_the_attempt_before(
    exit_code: int, how: dict[str, Any], reason: Any, *, looks_between: bool
) -> None:
    here = Leader()
    here.looks()
    job = here.sight.add_islands(2)
    here.sight.makes(job, "a", 1010.0, index=1)
    here.sight.runs("a", 1020.0)
    assert here.looks() == [Started(20.0)]
    here.sight.ends("a", 1100.0, exit_code, **how)
    if looks_between:
        assert here.looks() == []
    here.sight.makes(job, "b", 1110.0, index=1)
    assert here.looks() == [Restarted(reason)]
    assert here.looks() == []
    here.sight.runs("b", 1130.0)
    assert here.looks() == [Recovered(30.0)]
    assert here.looks() == []


def test_what_lies_between_two_looks_is_counted_in_one() -> None:
    here = Leader()
    here.looks()
    job = here.sight.add("island", 3)
    for number, name in enumerate("abc"):
        here.sight.makes(job, name, 1000.0 + 100 * number)
        here.sight.runs(name, 1010.0 + 100 * number)
        here.sight.ends(name, 1050.0 + 100 * number)
    once = [Restarted("Error"), Recovered(60.0)]
    assert here.looks() == [*once, *once, Started(10.0)]
    assert here.looks() == []


def test_a_pod_that_goes_without_a_word_was_moved() -> None:
    here = Leader()
    job = here.sight.add("island", 0)
    here.sight.makes(job, "a", 1010.0)
    here.sight.runs("a", 1020.0)
    here.looks()
    del here.sight.pods["a"]
    here.now = 2000.0
    assert here.looks() == []
    here.now = 2500.0
    here.sight.makes(job, "b", 2030.0)
    assert here.looks() == [Restarted("Disrupted")]
    here.sight.runs("b", 2040.0)
    assert here.looks() == [Recovered(40.0)]


def test_an_evicted_pod_of_which_nobody_knows_when_it_ended_ended_when_it_was_seen() -> None:
    here = Leader(now=2000.0)
    job = here.sight.add("island", 0)
    here.sight.makes(job, "a", 1010.0)
    here.sight.runs("a", 1020.0)
    here.looks()
    here.sight.ends("a", 0.0, disrupted=True)
    ending = here.sight.pods["a"].ending
    assert ending is not None
    here.sight.pods["a"] = replace(
        here.sight.pods["a"], ending=replace(ending, exit_code=None, began_at=None, ended_at=None)
    )
    assert here.looks() == []
    here.now = 3000.0
    here.sight.makes(job, "b", 2050.0)
    here.sight.runs("b", 2060.0)
    assert here.looks() == [Restarted("Disrupted"), Recovered(60.0)]
    del here.sight.pods["a"]
    assert here.looks() == []


def test_pods_that_are_cleared_away_are_not_counted_again() -> None:
    here = Leader()
    job = here.sight.add("island", 0)
    here.sight.makes(job, "a", 1010.0)
    here.sight.ends("a", 1020.0)
    here.sight.makes(job, "b", 1030.0)
    here.looks()
    here.sight.ends("b", 1040.0)
    here.looks()
    del here.sight.pods["b"]
    assert here.looks() == []
    here.sight.makes(job, "c", 1050.0)
    assert here.looks() == [Restarted("Error")]
    here.sight.pods.pop("a")
    assert here.looks() == []


def test_islands_are_counted_and_other_steps_and_other_jobs_pods_are_not() -> None:
    here = Leader()
    here.looks()
    for role in ("partition", "router", "evaluate"):
        job = here.sight.add(role)
        here.sight.makes(job, f"{role}-a", 1010.0)
        here.sight.ends(f"{role}-a", 1020.0)
        here.sight.makes(job, f"{role}-b", 1030.0)
    stranger = replace(here.sight.add("island", 0), uid="of-an-earlier-job")
    here.sight.makes(stranger, "a", 900.0)
    here.sight.ends("a", 950.0)
    here.sight.makes(stranger, "b", 960.0)
    assert here.looks() == []


def test_a_new_leader_counts_what_is_new_to_everybody_and_nothing_else() -> None:
    old = Leader()
    old.looks()
    job = old.sight.add("island", 0)
    old.sight.makes(job, "a", 1010.0)
    old.sight.runs("a", 1020.0)
    old.sight.ends("a", 1100.0)
    assert old.looks() == [Started(20.0)]
    new = Leader(old.sight)
    assert new.looks() == []
    new.sight.makes(job, "b", 1110.0)
    assert new.looks() == [Restarted("Error")]
    newest = Leader(old.sight)
    assert newest.looks() == []
    newest.sight.runs("b", 1120.0)
    assert newest.looks() == [Recovered(20.0)]
    assert Leader(old.sight).looks() == []


def test_who_was_told_to_stop_by_the_user_is_started_and_not_restarted() -> None:
    here = Leader()
    job = here.sight.add("island", 0)
    here.sight.makes(job, "a", 1010.0)
    here.sight.runs("a", 1020.0)
    here.looks()
    here.job = view(suspended=True)
    here.sight.ends("a", 1100.0, 83, disrupted=True)
    assert here.looks() == []
    here.sight.pods.clear()
    here.sight.jobs.clear()
    here.job = view(TrainingJobStatus(conditions=(condition("Suspended", "Stopped", "False"),)))
    assert here.looks() == []
    again = here.sight.add("island", 0, uid="another-uid")
    here.sight.makes(again, "b", 9000.0)
    here.sight.runs("b", 9010.0)
    assert here.looks() == []


@pytest.mark.parametrize(("name", "reason"), [("given-up", "Error"), ("disrupted", "Disrupted")])
def test_what_a_real_cluster_showed_is_counted(name: str, reason: Any) -> None:
    """Its Jobs are no islands there: here they are."""
    job = replace(recorded_job(name), island=0, role="island", name="digits-island-0")
    seen = [replace(it, role="island", owner=job.name) for it in recorded_pods(name)]
    scene = Scene("digits", {job.name: job}, tuple(seen))
    trail, occurred = follow(Trail(), view(), scene, 0.0)
    restarts = [it for it in occurred if isinstance(it, Restarted)]
    assert restarts == [Restarted(reason)] * (len(seen) - 1) != []
    recovered = [it for it in occurred if isinstance(it, Recovered)]
    assert recovered
    assert all(0 <= it.seconds < 120 for it in recovered)
    assert follow(trail, view(), scene, 0.0) == (trail, ())


def test_memory_ran_out_on_a_real_cluster() -> None:
    (pod,) = recorded_pods("out-of-memory")
    assert pod.ending is not None
    assert pod.ending.out_of_memory
    assert pod.ending.began_at is not None
    assert pod.ending.ended_at is not None
    assert pod.ending.began_at <= pod.ending.ended_at


# -- the start ----------------------------------------------------------------------------------


def test_a_step_that_began_and_ended_between_two_looks_has_begun() -> None:
    here = Leader()
    here.looks()
    job = here.sight.add("partition")
    here.sight.makes(job, "a", 1002.0)
    here.sight.runs("a", 1007.0)
    here.sight.ends("a", 1008.0, 0)
    assert here.looks() == [Started(7.0)]
    assert here.looks() == []


def test_a_hub_is_no_step_and_a_container_that_cannot_begin_is_not_at_work() -> None:
    here = Leader()
    here.looks()
    job = here.sight.add("partition")
    here.sight.makes(job, "a", 1002.0)
    here.sight.ends("a", 1008.0, 128)
    hub = replace(job, name="digits-hub", uid="hub-uid", role="hub")
    here.sight.makes(hub, "h", 1001.0)
    here.sight.runs("h", 1002.0)
    assert here.looks() == []


@pytest.mark.parametrize(
    "status",
    [
        TrainingJobStatus(artifacts=(ArtifactStatus(name="a", digest="b", size_bytes=1),)),
        TrainingJobStatus(steps=(StepStatus(name="partition", state="Running"),)),
        TrainingJobStatus(islands=(StepStatus(name="island-0", state="Failed"),)),
        TrainingJobStatus(conditions=(condition("Suspended", "Stopped", "False"),)),
    ],
)
def test_a_job_that_was_at_work_before_this_leader_does_not_start(
    status: TrainingJobStatus,
) -> None:
    """Though no pod of that time is left."""
    here = Leader(job=view(status))
    here.looks()
    job = here.sight.add("island", 0)
    here.sight.makes(job, "a", 3000.0)
    here.sight.runs("a", 3010.0)
    assert here.looks() == []


def test_a_job_that_stood_still_as_its_user_wished_has_not_waited() -> None:
    here = Leader(job=view(suspended=True))
    assert here.looks() == []
    here.job = view(TrainingJobStatus(conditions=(condition("Suspended", "Stopped", "False"),)))
    job = here.sight.add("partition")
    here.sight.makes(job, "a", 90_000.0)
    here.sight.runs("a", 90_010.0)
    assert here.looks() == []


# -- the merge ----------------------------------------------------------------------------------


def test_a_merge_lasts_from_the_end_of_the_last_island() -> None:
    here = Leader()
    here.looks()
    islands, merge = here.sight.add_islands(2), here.sight.add("merge")
    here.sight.makes(merge, "m", 1005.0)
    here.sight.runs("m", 1006.0)
    for index in range(2):
        here.sight.makes(islands, f"i{index}", 1005.0, index)
        here.sight.runs(f"i{index}", 1010.0)
        here.sight.ends(f"i{index}", 2000.0 + 100 * index, 0)
    assert here.looks() == [Started(6.0)]
    here.sight.ends("m", 2130.0, 0)
    assert here.looks() == [Merged(30.0)]
    assert here.looks() == []
    assert Leader(here.sight).looks() == []


def test_a_merge_that_is_made_again_has_not_ended_and_lasts_from_its_begin() -> None:
    here = Leader()
    here.looks()
    merge = here.sight.add("merge")
    here.sight.makes(merge, "m", 1005.0)
    here.sight.ends("m", 1020.0, 1)
    assert here.looks() == []
    here.sight.makes(merge, "n", 1030.0)
    here.sight.runs("n", 1040.0)
    assert here.looks() == [Started(40.0)]
    here.sight.ends("n", 1065.0, 0)
    assert here.looks() == [Merged(60.0)]


def test_a_merge_of_which_only_the_status_tells_is_over() -> None:
    done = TrainingJobStatus(steps=(StepStatus(name="merge", state="Succeeded"),))
    here = Leader(job=view(done))
    here.looks()
    merge = here.sight.add("merge")
    here.sight.makes(merge, "m", 1005.0)
    here.sight.ends("m", 1020.0, 0)
    assert here.looks() == []
