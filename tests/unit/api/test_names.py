"""Names that two processes must agree on."""

import pytest

from atoll_api import names


def test_a_checkpoint_ref_reads_back() -> None:
    ref = names.checkpoint_ref(names.island_step(3), 120)
    assert ref == "checkpoints/island-3/120"
    assert names.parse_checkpoint_ref(ref) == ("island-3", 120)


@pytest.mark.parametrize("ref", ["experts/0", "checkpoints/island-0", "checkpoints/a/b", ""])
def test_other_refs_are_no_checkpoints(ref: str) -> None:
    assert names.parse_checkpoint_ref(ref) is None


def test_every_ref_is_distinct() -> None:
    refs = [names.ASSIGNMENT_REF, names.ROUTER_REF, names.BASELINE_REF, names.REPORT_REF]
    refs += [make(i) for make in (names.expert_ref, names.island_assignment_ref) for i in range(3)]
    assert len(set(refs)) == len(refs)
