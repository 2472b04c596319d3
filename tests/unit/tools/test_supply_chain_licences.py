"""Which licences get in."""

from collections.abc import Mapping
from email.message import Message
from pathlib import Path

import pytest

from tools.supply_chain.licences import (
    POLICY,
    Exemption,
    Policy,
    PolicyError,
    Record,
    licence_of,
    load,
    problems,
)
from tools.supply_chain.locks import Pinned

PLAIN = Policy(
    allowed={"MIT": "x", "Apache-2.0": "x", "Apache-2.0 WITH LLVM-exception": "x"},
    spelled={"MIT License": "MIT", "GNU General Public License v3 (GPLv3)": "GPL-3.0-only"},
    vague={"BSD License": "x"},
    exceptions=(),
    recorded={},
)


def metadata(**fields: str | list[str]) -> Message:
    message = Message()
    message["Version"] = "1.0"
    for name, value in fields.items():
        for one in [value] if isinstance(value, str) else value:
            message[name.replace("_", "-")] = one
    return message


def found(
    policy: Policy, given: Mapping[str, Message], of_images: frozenset[str] = frozenset()
) -> list[str]:
    names = dict.fromkeys([*given, "a"])
    pins = [Pinned(name, "1.0", ("0" * 64,)) for name in names]
    return problems(pins, set(of_images), given.get, policy)


@pytest.mark.parametrize(
    "fields",
    [
        {"License_Expression": "MIT"},
        {"License_Expression": "MIT OR GPL-3.0-only"},
        {"License_Expression": "Apache-2.0 AND Apache-2.0 WITH LLVM-exception"},
        {"License": "MIT"},
        {"License": "MIT License", "Classifier": "License :: OSI Approved :: MIT License"},
        {"Classifier": ["Topic :: x", "License :: OSI Approved :: MIT License"]},
        {"License": "MIT", "Classifier": "License :: OSI Approved :: BSD License"},
        {"License": "UNKNOWN", "Classifier": "License :: OSI Approved :: MIT License"},
    ],
)
def test_a_clear_word_is_taken(fields: Mapping[str, str | list[str]]) -> None:
    assert found(PLAIN, {"a": metadata(**fields)}) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License_Expression": "GPL-3.0-only"}, "GPL-3.0-only is not allowed"),
        ({"License_Expression": "MIT AND GPL-3.0-or-later"}, "GPL-3.0-or-later is not allowed"),
        ({"License_Expression": "LGPL-2.1-only OR GPL-3.0-only"}, "is not allowed"),
        ({"License": "GPL-2.0-only"}, "GPL-2.0-only is not allowed"),
        (
            {"Classifier": "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"},
            "GPL-3.0-only is not allowed",
        ),
        (
            {
                "License": "MIT",
                "Classifier": "License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
            },
            "GPL-3.0-only is not allowed",
        ),
        ({"License": "MIT", "Classifier": "License :: OSI Approved :: Who Knows"}, "Who Knows"),
        ({"License": "ask me"}, "read its licence, and record it"),
        ({"License": "MIT\nbut not on Sundays"}, "read its licence, and record it"),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, "read its licence"),
        ({"License_Expression": "Nobody-Knows-1.0"}, "read its licence"),
        ({"License_Expression": "LicenseRef-Mine"}, "LicenseRef-Mine is not allowed"),
        ({}, "read its licence"),
    ],
)
def test_what_is_not_allowed_or_not_known_is_refused(
    fields: Mapping[str, str | list[str]], expected: str
) -> None:
    (line,) = found(PLAIN, {"a": metadata(**fields)})
    assert line.startswith("a: ")
    assert expected in line


def test_what_is_not_installed_has_to_be_recorded() -> None:
    assert found(PLAIN, {}) == ["a: not installed here, and not recorded"]
    policy = with_record(Record("a", "MIT", "whatever", "its text"))
    assert found(policy, {}) == []
    assert licence_of("a", None, policy).source == "recorded: its text"


def test_a_record_holds_for_what_was_said_when_it_was_made() -> None:
    policy = with_record(Record("a", "MIT", "BSD License", "its text"))
    said = "License :: OSI Approved :: BSD License"
    assert found(policy, {"a": metadata(Classifier=said)}) == []
    (line,) = found(policy, {"a": metadata(Classifier=said, License="GPL")})
    assert "read it again" in line


def test_a_record_lets_nothing_in_that_is_not_allowed() -> None:
    assert "GPL-3.0-only" in found(with_record(Record("a", "GPL-3.0-only", "", "x")), {})[0]


def test_an_exception_is_for_those_that_it_names() -> None:
    policy = with_exception(Exemption("GPL-3.0-only", ("a",), images=True, reason="x"))
    gpl = metadata(License_Expression="GPL-3.0-only")
    assert found(policy, {"a": gpl}) == []
    (line,) = found(policy, {"a": gpl, "b": gpl})
    assert line.startswith("b: GPL-3.0-only is not allowed")


def test_one_for_tests_alone_is_none_for_an_image() -> None:
    policy = with_exception(Exemption("GPL-3.0-only", ("a",), images=False, reason="x"))
    gpl = {"a": metadata(License_Expression="GPL-3.0-only")}
    assert found(policy, gpl) == []
    assert "not allowed in an image" in found(policy, gpl, frozenset({"a"}))[0]


def test_what_the_policy_says_too_much_is_told() -> None:
    mit = {"a": metadata(License_Expression="MIT")}
    policy = with_exception(Exemption("MPL-2.0", ("a",), images=True, reason="x"))
    assert found(policy, mit) == ["a: an exception for MPL-2.0 that nothing needs"]
    assert found(with_record(Record("z", "MIT", "", "x")), mit) == ["z: recorded, and in no lock"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"0BSD" = "permissive, asks for nothing"', '"0BSD" = " "'),
        ("[vague]", "[vaguely]"),
        ("images = true", ""),
    ],
)
def test_a_policy_gives_its_reasons(tmp_path: Path, old: str, new: str) -> None:
    text = POLICY.read_text()
    assert old in text
    path = tmp_path / "licences.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(PolicyError):
        load(path)


def with_record(record: Record) -> Policy:
    return Policy(PLAIN.allowed, PLAIN.spelled, PLAIN.vague, (), {record.package: record})


def with_exception(exemption: Exemption) -> Policy:
    return Policy(PLAIN.allowed, PLAIN.spelled, PLAIN.vague, (exemption,), {})
