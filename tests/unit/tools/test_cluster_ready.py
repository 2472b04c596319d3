"""Whether a cluster is ready is asked of it."""

import pytest

from tools.cluster.ready import condition, dns_has_answer, dns_question


def reply(flags: int, answers: int) -> bytes:
    header = bytearray(dns_question("a.b"))
    header[2:4] = flags.to_bytes(2, "big")
    header[6:8] = answers.to_bytes(2, "big")
    return bytes(header)


def test_a_question_for_a_name() -> None:
    assert dns_question("kubernetes.default")[12:] == b"\x0akubernetes\x07default\0\0\x01\0\x01"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(0x8180, 1), True),
        (reply(0x8183, 0), False),
        (reply(0x8182, 1), False),
        (b"", False),
        (b"\0" * 12, False),
    ],
)
def test_an_answer_is_one_without_an_error(answer: bytes, expected: bool) -> None:  # noqa: FBT001
    assert dns_has_answer(answer) is expected


def test_a_node_that_says_nothing_is_not_ready() -> None:
    assert condition({}) == "Unknown"
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert condition(ready) == "True"
