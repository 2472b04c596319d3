"""What differs between a job that is there and one that is wanted."""

from typing import Any

import pytest
from builders import job_document

from atoll_api.problems import parse_job
from atoll_cli.cluster.changes import Changes, changes

Spec = dict[str, Any]


def compared(there: Spec, here: Spec) -> Changes:
    written = job_document(**here)
    return changes(parse_job(job_document(**there)), parse_job(written), written)


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ({}, {}),
        ({}, {"training": {"steps": 2000}}),
        ({"islands.quorum": 4}, {}),
        ({}, {"islands.quorum": 4}),
        ({"suspend": True}, {}),
        ({"runPolicy": {"activeDeadlineSeconds": 9}}, {}),
        ({"islands.quorum": 2}, {}),
        ({"runPolicy": {"ttlSecondsAfterFinished": 9}}, {"runPolicy": {}}),
    ],
)
def test_the_same_job(there: Spec, here: Spec) -> None:
    """Defaults are no difference, and what a file does not say of what may change stays."""
    found = compared(there, here)
    assert (found.patch, found.told, found.refused) == ({}, (), ())


@pytest.mark.parametrize(
    ("there", "here", "patch"),
    [
        ({"suspend": True}, {"suspend": False}, {"spec": {"suspend": False}}),
        ({}, {"suspend": True}, {"spec": {"suspend": True}}),
        ({}, {"islands.quorum": 3}, {"spec": {"islands": {"quorum": 3}}}),
        (
            {"runPolicy": {"activeDeadlineSeconds": 9}},
            {"runPolicy": {"activeDeadlineSeconds": None, "ttlSecondsAfterFinished": 5}},
            {"spec": {"runPolicy": {"activeDeadlineSeconds": None, "ttlSecondsAfterFinished": 5}}},
        ),
    ],
)
def test_what_may_change(there: Spec, here: Spec, patch: Spec) -> None:
    found = compared(there, here)
    assert found.patch == patch
    assert not found.refused


def test_labels_and_annotations_are_added_and_others_left_alone() -> None:
    there, here = job_document(), job_document()
    there["metadata"] |= {"labels": {"a.b/c": "1", "other": "2"}}
    here["metadata"] |= {"labels": {"a.b/c": "3"}, "annotations": {"note": "x"}}
    found = changes(parse_job(there), parse_job(here), here)
    assert found.patch == {"metadata": {"labels": {"a.b/c": "3"}, "annotations": {"note": "x"}}}
    assert str(found.told[0]) == "metadata.labels.a.b/c is '1' there and '3' here"


def test_what_may_not_change_is_said_with_both_values() -> None:
    found = compared(
        {"training": {"steps": 10}},
        {"training": {"steps": 20, "ema": {"decay": 0.5}}, "islands.quorum": 3, "suspend": True},
    )
    assert found.why_refused == (
        "spec.training.ema.decay is 0.999 there and 0.5 here; "
        "spec.training.steps is 10 there and 20 here"
    )


def test_a_quorum_only_falls() -> None:
    found = compared({"islands.quorum": 2}, {"islands.quorum": 3})
    assert found.why_refused == "spec.islands.quorum is 2 there and 3 here"


def test_another_strategy_differs_in_much_and_is_said_briefly() -> None:
    merging = {"task": {"type": "Classification"}, "strategy": {"type": "IterativeMerge"}}
    found = compared({"islands.overrides": [{"island": 1}]}, merging)
    assert found.why_refused.endswith("more")
    assert "not set" in found.why_refused


def test_an_item_of_a_list_is_named_by_its_number() -> None:
    def role(cpu: str) -> Spec:
        template = {"resources": {"requests": {"cpu": cpu}}}
        return {"roles": [{"role": "router", "template": template}]}

    found = compared(role("1"), role("2"))
    (path,) = [it.path for it in found.refused]
    assert path == "spec.roles[0].template.resources.requests.cpu"
