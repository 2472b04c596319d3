"""A job from a file to a cluster: once, and again."""

from collections.abc import Sequence
from typing import Any

import pytest
from submitted_jobs import COMPLETE, KEY, LAB, document, lab, says, submitted

from atoll_api.exit_codes import ExitCode
from atoll_api.problems import InvalidJobError, parse_job
from atoll_cli.cluster.place import Place
from atoll_cli.cluster.submission import Submission, check_data, place_of, sentences, submit
from atoll_cli.errors import CliError
from atoll_operator.errors import ConflictError, UnavailableError
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.faults import Fault, When
from atoll_operator.kubernetes.resources import TRAINING_JOBS


def wanted(**spec: Any) -> Submission:
    written = document(**spec)
    return Submission(written, parse_job(written))


def spec_of(api: FakeApi) -> dict[str, Any]:
    found: dict[str, Any] = api.server.objects(TRAINING_JOBS)[KEY]["spec"]
    return found


async def test_what_was_written_is_what_is_made() -> None:
    api = lab()
    done = await submit(api, LAB, wanted(), dry_run=False)
    assert done.outcome == "Created"
    assert spec_of(api) == document()["spec"], "no default is written into it"
    (said,) = sentences(done, "digits", LAB, dry_run=False)
    assert said.startswith("digits: created in namespace lab of context kind-lab; `atoll status")


async def test_the_same_again_is_fine() -> None:
    api = lab()
    submitted(api)
    says(api, COMPLETE)
    done = await submit(api, LAB, wanted(**{"training.steps": 2000}), dry_run=False)
    (said,) = sentences(done, "digits", LAB, dry_run=False)
    assert said.startswith("digits: is there already, and is the same job: it is Complete; `atoll")


async def test_what_may_change_is_changed() -> None:
    api = lab()
    submitted(api)
    done = await submit(api, LAB, wanted(**{"islands.quorum": 2, "suspend": True}), dry_run=False)
    assert (spec_of(api)["islands"]["quorum"], spec_of(api)["suspend"]) == (2, True)
    assert sentences(done, "digits", LAB, dry_run=False) == [
        "digits: changed: spec.suspend is False there and True here",
        "digits: changed: spec.islands.quorum is 4 there and 2 here",
    ]


async def test_another_job_of_that_name_is_refused() -> None:
    api = lab()
    before = submitted(api)
    with pytest.raises(CliError, match=r"spec\.training\.steps is 2000 there and 9 here") as caught:
        await submit(api, LAB, wanted(**{"training.steps": 9, "suspend": True}), dry_run=False)
    assert caught.value.exit_code == ExitCode.IN_USE
    assert "give it another name" in str(caught.value)
    assert api.server.objects(TRAINING_JOBS)[KEY] == before, "nothing of it was changed"


@pytest.mark.parametrize(
    ("there", "expected"), [((), "would be created"), (("digits",), "would be changed: ")]
)
async def test_a_dry_run_only_looks(there: Sequence[str], expected: str) -> None:
    api = lab()
    for name in there:
        submitted(api, name)
    before = api.server.version
    done = await submit(api, LAB, wanted(suspend=True), dry_run=True)
    assert api.server.version == before
    assert {it.verb for it in api.requests} == {"get"}
    (said,) = sentences(done, "digits", LAB, dry_run=True)
    assert said.startswith(f"digits: {expected}")


async def test_a_job_that_is_going_is_waited_for() -> None:
    api = lab()
    body = submitted(api)
    body["metadata"] |= {"finalizers": ["x/y"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    api.server.put(TRAINING_JOBS, body)
    with pytest.raises(CliError, match="is being deleted: wait"):
        await submit(api, LAB, wanted(), dry_run=False)


async def test_a_job_of_another_release_is_not_touched() -> None:
    api = lab()
    body = submitted(api)
    body["spec"]["novelty"] = 1
    api.server.put(TRAINING_JOBS, body)
    with pytest.raises(CliError, match=r"does not read \(spec.novelty: unknown key") as caught:
        await submit(api, LAB, wanted(), dry_run=False)
    assert caught.value.exit_code == ExitCode.IN_USE


async def test_a_namespace_that_is_not_there() -> None:
    nowhere = Place("nowhere", "kind-lab")
    with pytest.raises(CliError, match="no namespace nowhere: say another --namespace"):
        await submit(lab(), nowhere, wanted(), dry_run=True)


async def test_somebody_else_changes_it_at_the_same_time() -> None:
    server = lab().server
    submitted(FakeApi(server))
    api = FakeApi(server, faults=(Fault(2, ConflictError("the object has been modified")),))
    with pytest.raises(ConflictError):
        await submit(api, LAB, wanted(suspend=True), dry_run=False)


async def test_an_answer_that_was_lost_is_made_up_for_by_asking_again() -> None:
    server = lab().server
    api = FakeApi(server, faults=(Fault(0, UnavailableError("no answer"), When.AFTER),))
    with pytest.raises(UnavailableError):
        await submit(api, LAB, wanted(), dry_run=False)
    assert (await submit(api, LAB, wanted(), dry_run=False)).outcome == "Same"


def test_data_beside_the_file_are_of_no_use_on_a_cluster() -> None:
    own = [{"island": 1, "data": {"source": "file://mine.npz"}}]
    job = wanted(
        data={"source": "file://data.npz"},
        task={"type": "Classification"},
        strategy={"type": "IterativeMerge"},
        partition={"type": "PerIsland"},
        evaluation={"data": {"source": "file:///data/judge.npz"}},
        **{"islands.overrides": own},
    ).job
    with pytest.raises(InvalidJobError) as caught:
        check_data(job)
    paths = [it.path for it in caught.value.problems]
    assert paths == ["spec.data.source", "spec.islands.overrides[0].data.source"]
    assert "mount a volume" in str(caught.value)
    check_data(wanted().job)


def test_the_namespace_of_the_file_and_that_of_the_command_line() -> None:
    written = document()
    written["metadata"]["namespace"] = "team"
    its_own = Submission(written, parse_job(written))
    assert place_of(its_own, LAB, namespace_given=False).namespace == "team"
    assert place_of(wanted(), LAB, namespace_given=True) == LAB
    with pytest.raises(CliError, match="is team, and -n says lab") as caught:
        place_of(its_own, LAB, namespace_given=True)
    assert caught.value.exit_code == ExitCode.USAGE
