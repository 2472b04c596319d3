"""Names that two processes must agree on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_api import names
from atoll_api.names import Process, parse_process_uri


def test_a_checkpoint_ref_reads_back() -> None:
    ref = names.checkpoint_ref(names.island_step(3), 120)
    assert ref == "checkpoints/island-3/120"
    assert names.parse_checkpoint_ref(ref) == ("island-3", 120)


@pytest.mark.parametrize("ref", ["experts/0", "checkpoints/island-0", "checkpoints/a/b", ""])
def test_other_refs_are_no_checkpoints(ref: str) -> None:
    assert names.parse_checkpoint_ref(ref) is None


def test_every_ref_is_distinct() -> None:
    refs = [names.ASSIGNMENT_REF, names.INIT_REF, names.ROUTER_REF]
    refs += [names.BASELINE_REF, names.REPORT_REF]
    refs += [make(i) for make in (names.expert_ref, names.island_assignment_ref) for i in range(3)]
    assert len(set(refs)) == len(refs)


@pytest.mark.parametrize(
    ("name", "job"),
    [
        ("digits-hub", "digits"),
        ("digits-islands", "digits"),
        ("digits-island-12", "digits"),
        ("a-hub-partition", "a-hub"),
        ("a-island-3-seed", "a-island-3"),
        ("digits-island", None),
        ("digits", None),
        ("-hub", None),
        ("hub", None),
        ("shop-frontend", None),
    ],
)
def test_an_object_tells_whose_it_may_be(name: str, job: str | None) -> None:
    assert names.job_of_object(name) == job


@pytest.mark.parametrize(
    ("name", "job"),
    [
        ("digits-hub-0", "digits"),
        ("digits-islands-12-x7k2p", "digits"),
        ("digits-island-12-x7k2p", "digits"),
        ("digits-evaluate-x7k2p", "digits"),
        ("digits-evaluate-0-x7k2p", None),
        ("digits-hub-1", None),
        ("digits-hub", None),
        ("shop-frontend-x7k2p", None),
    ],
)
def test_a_pod_tells_whose_it_may_be(name: str, job: str | None) -> None:
    assert names.job_of_pod(name) == job


LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
PROCESSES = st.builds(
    Process, LABELS, st.from_regex(r"[a-z]{1,32}", fullmatch=True), st.integers(0, 999_999_999)
)


@given(PROCESSES)
def test_a_process_is_read_back_from_its_uri(process: Process) -> None:
    assert parse_process_uri(process.uri) == process


@given(st.one_of(st.text(), st.from_regex(r"atoll://[^/]*/[^/]*/[^/]*")))
def test_no_two_texts_name_one_process(text: str) -> None:
    process = parse_process_uri(text)
    assert process is None or process.uri == text


@pytest.mark.parametrize(
    "uri",
    [
        "atoll://u/island/01",
        "atoll://u/island/-1",
        "atoll://u/island",
        "atoll://u/island/1/",
        "atoll://u/island/1\n",
        "atoll:///island/1",
        "atoll://U/island/1",
        "atoll://u.v/island/1",
        "spiffe://u/island/1",
        "atoll://u/island/٣",
        f"atoll://{'u' * 64}/island/1",
    ],
)
def test_other_uris_name_nobody(uri: str) -> None:
    assert parse_process_uri(uri) is None


def test_a_process_has_the_name_of_its_step() -> None:
    assert Process("u", "island", 3).step == "island-3"
    assert Process("u", "router").step == "router"
    assert Process("u", "hub").host == "hub-0.u.atoll.internal"


@pytest.mark.parametrize("who", [Process("j", "island", 0), Process("j", "island", 12)])
def test_a_step_says_which_island_it_is(who: Process) -> None:
    assert names.process_of_step("j", who.step) == who


@pytest.mark.parametrize("role", ["hub", "router", "evaluate"])
def test_a_step_that_is_its_role_says_so(role: str) -> None:
    assert names.process_of_step("j", role) == Process("j", role)


@pytest.mark.parametrize(
    "step",
    ["", "island", "island-", "island-03", "island--1", "router-1", "a b", "hub\n", "ISLAND-1"],
)
def test_what_is_no_step_is_nobody(step: str) -> None:
    assert names.process_of_step("j", step) is None
