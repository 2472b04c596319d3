"""Bytes on the wires are added up, and silence is not taken for zero."""

from atoll_api.work_order import JobIdentity
from atoll_worker.ports import ProgressReport, WireBytes
from atoll_worker.report.run_facts import run_facts

JOB = JobIdentity(name="digits", uid="0")


def report(**sent_bytes: int) -> ProgressReport:
    wires = tuple(WireBytes(peer, sent, 1) for peer, sent in sent_bytes.items())
    return ProgressReport(1, 1, training_wire=wires)


def test_bytes_between_islands_are_all_that_did_not_go_to_the_hub_counted_once() -> None:
    reports = {
        "island-0": report(hub=900, island=10),
        "island-1": report(hub=900, island=0, other=5),
        "baseline": report(hub=900, island=7),
    }
    facts = run_facts(JOB, reports, 2)
    assert facts.bytes_between_islands == 10 + 0 + 5
    assert len(facts.wires) == 7


def test_a_silent_wire_is_zero_and_one_that_nobody_counted_is_not() -> None:
    quiet = ProgressReport(1, 1, training_wire=(WireBytes("hub", 5, 5), WireBytes("island", 0, 0)))
    both = {"island-0": quiet, "island-1": quiet}
    assert run_facts(JOB, both, 2).bytes_between_islands == 0
    assert run_facts(JOB, both, 3).bytes_between_islands is None
    assert run_facts(JOB, {"island-0": ProgressReport(1, 1)}, 1).bytes_between_islands is None
