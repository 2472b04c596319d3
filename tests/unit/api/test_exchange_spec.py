"""`spec.exchange`: what is accepted, what is said of the rest, and that it cannot change."""

from typing import get_args

import pytest
from builders import job_document, make_job

from atoll_api.crd import custom_resource_definition
from atoll_api.problems import InvalidJobError, parse_job
from atoll_api.spec.exchange import Encoding


def test_weights_are_exact_unless_the_job_says_otherwise() -> None:
    assert make_job().spec.exchange.encoding == "Raw"


@pytest.mark.parametrize("encoding", get_args(Encoding))
def test_every_encoding_is_accepted(encoding: str) -> None:
    assert make_job(**{"exchange.encoding": encoding}).spec.exchange.encoding == encoding


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            {"exchange.encoding": "int8"},
            (
                "spec.exchange.encoding: 'int8' is not accepted; accepted: Raw, BFloat16, Float16, "
                "Int8, Delta (did you mean Int8?)"
            ),
        ),
        (
            {"exchange.encodng": "Int8"},
            "spec.exchange.encodng: unknown key; accepted here: encoding (did you mean encoding?)",
        ),
    ],
)
def test_what_was_meant_is_said(said: dict[str, str], problem: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        parse_job(job_document(**said))
    assert [str(one) for one in caught.value.problems] == [problem]


def test_the_api_server_refuses_a_change() -> None:
    version = custom_resource_definition()["spec"]["versions"][0]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    rules = [it["rule"] for it in spec["exchange"]["x-kubernetes-validations"]]
    assert rules == ["self == oldSelf"]
    assert spec["exchange"]["properties"]["encoding"]["enum"] == list(get_args(Encoding))
