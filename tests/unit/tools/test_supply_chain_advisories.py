"""Records in the format of OSV against pins."""

from collections.abc import Mapping
from typing import Any

import pytest

from tools.supply_chain.advisories import RecordError, findings, of_ecosystem
from tools.supply_chain.locks import Pinned

ESCAPE: Mapping[str, Any] = {
    "schema_version": "1.6.0",
    "id": "PYSEC-2019-217",
    "modified": "2021-07-05T00:01:22.043149Z",
    "published": "2019-04-07T00:29:00Z",
    "aliases": ["CVE-2019-10906", "GHSA-462w-v97r-4m45"],
    "details": "In Pallets Jinja before 2.10.1, str.format_map allows a sandbox escape.",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI", "purl": "pkg:pypi/jinja2"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10.1"}]}],
            "versions": ["2.9.6", "2.10"],
        }
    ],
    "references": [{"type": "ARTICLE", "url": "https://palletsprojects.com/blog/"}],
}


def pin(version: str, name: str = "jinja2") -> Pinned:
    return Pinned(name, version, ("0" * 64,))


def record(**affected: Any) -> Mapping[str, Any]:
    return {
        **ESCAPE,
        "affected": [{"package": {"name": "Jinja2", "ecosystem": "PyPI"}, **affected}],
    }


def events(*them: tuple[str, str], kind: str = "ECOSYSTEM") -> Mapping[str, Any]:
    return record(ranges=[{"type": kind, "events": [{key: value} for key, value in them]}])


def is_found(version: str, one: Mapping[str, Any]) -> bool:
    return bool(findings([pin(version)], [one]))


def test_a_locked_version_is_found_with_its_fix() -> None:
    (found,) = findings([pin("2.10"), pin("3.1.6"), pin("2.10", "other")], [ESCAPE])
    assert found.line == (
        "jinja2 2.10: PYSEC-2019-217 (CVE-2019-10906, GHSA-462w-v97r-4m45): fixed in 2.10.1. "
        "In Pallets Jinja before 2.10.1, str.format_map allows a sandbox escape."
    )


def test_what_is_withdrawn_counts_no_more() -> None:
    assert not is_found("2.10", {**ESCAPE, "withdrawn": "2024-01-01T00:00:00Z"})


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("0.9", False),
        ("1.0rc1", False),
        ("1.0", True),
        ("1.4.post1", True),
        ("1.5", False),
        ("1.9", False),
        ("2.0", True),
        ("2.2", True),
        ("2.2.1", False),
    ],
)
def test_a_range_goes_from_event_to_event(version: str, affected: bool) -> None:  # noqa: FBT001 # a table
    shuffled = (("last_affected", "2.2"), ("introduced", "2.0"), ("fixed", "1.5"))
    assert is_found(version, events(*shuffled, ("introduced", "1.0"))) is affected


def test_from_the_beginning_is_before_the_first_release_of_development() -> None:
    assert is_found("0.0.dev1", events(("introduced", "0"), ("fixed", "1")))


def test_versions_are_compared_as_versions() -> None:
    assert is_found("2.10.0", record(versions=["2.10"]))
    assert not is_found("2.1", record(versions=["2.10", "2004d"]))


@pytest.mark.parametrize(
    "one",
    [
        record(),
        events(("introduced", "0"), ("fixed", "6c6e1f0"), kind="GIT"),
        events(("introduced", "0"), ("fixed", "a commit")),
    ],
)
def test_what_cannot_be_compared_is_not_passed_over(one: Mapping[str, Any]) -> None:
    (found,) = findings([pin("2.10")], [one])
    assert "CANNOT BE COMPARED" in found.line


def test_other_ecosystems_are_left_out_and_other_documents_refused() -> None:
    other = {"id": "X", "affected": [{"package": {"name": "jinja2", "ecosystem": "npm"}}]}
    assert of_ecosystem([ESCAPE, other]) == [ESCAPE]
    for document in ({"no": "id"}, "text", None):
        with pytest.raises(RecordError):
            of_ecosystem([document])
