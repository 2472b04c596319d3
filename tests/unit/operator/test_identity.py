"""Who is issued what, and who may read it on disk."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from atoll_api.names import Process
from atoll_operator.identity import Authority, files_of, write

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ISLAND = Process("job-1", "island", 2)


def test_a_certificate_has_one_uri_one_dns_name_and_the_name_of_nobody() -> None:
    certificate = x509.load_pem_x509_certificate(Authority("job-1", NOW).issue(ISLAND).certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["atoll://job-1/island/2"]
    assert names.get_values_for_type(x509.DNSName) == ["island-2.job-1.atoll.internal"]
    assert len(names) == 2
    assert certificate.subject.rfc4514_string() == "CN=atoll"


def test_an_authority_speaks_for_one_job() -> None:
    with pytest.raises(ValueError, match=r"atoll://job-1/island/2 is no process of job job-2"):
        Authority("job-2", NOW).issue(ISLAND)


def test_only_the_owner_may_read_and_the_authority_s_key_is_nowhere(tmp_path: Path) -> None:
    authority = Authority("job-1", NOW)
    hub = Process("job-1", "hub")
    folder = tmp_path / "identity"
    written = write([authority.issue(ISLAND), authority.issue(hub)], folder)
    assert written == {process: files_of(process, folder) for process in (ISLAND, hub)}
    files = sorted(folder.iterdir())
    assert len(files) == 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    keys = [path for path in files if b"PRIVATE KEY" in path.read_bytes()]
    assert [path.name for path in keys] == ["hub-0.key", "island-2.key"]


def test_a_second_pass_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "identity"
    first = write([Authority("job-1", NOW).issue(ISLAND)], folder)[ISLAND]
    before = Path(first.authority).read_bytes()
    router = Process("job-1", "router")
    second = write([Authority("job-1", NOW).issue(router)], folder)[router]
    assert len(list(folder.iterdir())) == 3
    assert Path(second.authority).read_bytes() != before
