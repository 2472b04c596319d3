"""Field selectors as the API server understands them; tests/ports compares some with it."""

import pytest

from atoll_operator.kubernetes.field_selector import fields_match

EVENT = {"type": "Warning", "reason": "FailedMount", "involvedObject": {"kind": "Pod"}}


@pytest.mark.parametrize(
    "selector",
    [
        "",
        "type=Warning",
        "type==Warning,reason=FailedMount",
        "involvedObject.kind!=Node",
        "involvedObject.name=",
        "source.component!=kubelet",
    ],
)
def test_what_is_selected(selector: str) -> None:
    assert fields_match(selector, EVENT)


@pytest.mark.parametrize(
    "selector",
    ["type=Warning,reason!=FailedMount", "involvedObject.kind!=Pod", "type.of.what=Warning"],
)
def test_what_is_not_selected(selector: str) -> None:
    assert not fields_match(selector, EVENT)


@pytest.mark.parametrize("selector", ["type", "type in (a)", "!type"])
def test_what_is_no_selector(selector: str) -> None:
    with pytest.raises(ValueError, match="no field selector"):
        fields_match(selector, EVENT)
