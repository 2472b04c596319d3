"""A process looks at its own certificate before it dials: every way in which that can be wrong."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from atoll_api.exit_codes import ExitCode
from atoll_api.names import Process
from atoll_api.work_order import IdentityFiles
from atoll_operator.identity import CLOCK_SKEW, LIFETIME, Authority, write
from atoll_worker.errors import IdentityError
from atoll_worker.exchange.identity import load, process_of, sole_process

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ISLAND = Process("job-1", "island", 2)


def issued(folder: Path, process: Process = ISLAND, now: datetime = NOW) -> IdentityFiles:
    identity = Authority(process.job_uid, now).issue(process)
    return write([identity], folder)[process]


def replaced(files: IdentityFiles, **changes: str) -> IdentityFiles:
    return files.model_copy(update=changes)


def test_what_is_issued_is_accepted(tmp_path: Path) -> None:
    credentials = load(issued(tmp_path / "i"), ISLAND, NOW)
    assert credentials.process == ISLAND
    assert credentials.hub_host == "hub-0.job-1.atoll.internal"


@pytest.mark.parametrize(
    "now", [NOW - CLOCK_SKEW + timedelta(seconds=1), NOW + LIFETIME - timedelta(seconds=1)]
)
def test_a_clock_may_be_somewhat_wrong(tmp_path: Path, now: datetime) -> None:
    assert load(issued(tmp_path / "i"), ISLAND, now).process == ISLAND


def _key_of_another(files: IdentityFiles, folder: Path) -> IdentityFiles:
    return replaced(files, key=issued(folder / "other").key)


def _foreign_authority(files: IdentityFiles, folder: Path) -> IdentityFiles:
    return replaced(files, authority=issued(folder / "other").authority)


def _no_key(files: IdentityFiles, _folder: Path) -> IdentityFiles:
    return replaced(files, key=files.certificate)


def _no_certificate(files: IdentityFiles, _folder: Path) -> IdentityFiles:
    return replaced(files, certificate=files.key)


def _no_file(files: IdentityFiles, folder: Path) -> IdentityFiles:
    return replaced(files, certificate=str(folder / "nothing"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_key_of_another, r"island-2\.key is not the key of .*island-2\.crt"),
        (_foreign_authority, r"island-2\.crt was not issued by the authority in .*other"),
        (_no_key, r"island-2\.crt is no private key"),
        (_no_certificate, r"island-2\.key is no certificate"),
        (_no_file, r"nothing cannot be read \(No such file or directory\)"),
    ],
)
def test_files_that_do_not_belong_together(
    tmp_path: Path, change: Callable[[IdentityFiles, Path], IdentityFiles], message: str
) -> None:
    files = change(issued(tmp_path / "i"), tmp_path)
    with pytest.raises(IdentityError, match=message) as caught:
        load(files, ISLAND, NOW)
    assert caught.value.exit_code == ExitCode.FINAL
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (NOW - CLOCK_SKEW - timedelta(minutes=1), r"crt is not valid before 2025-12-31 23:00 UTC"),
        (
            NOW + LIFETIME + timedelta(minutes=1),
            r"crt expired at 2027-01-01 00:00 UTC, .*run again",
        ),
    ],
)
def test_dates(tmp_path: Path, now: datetime, message: str) -> None:
    with pytest.raises(IdentityError, match=message):
        load(issued(tmp_path / "i"), ISLAND, now)


@pytest.mark.parametrize(
    "other",
    [Process("job-2", "island", 2), Process("job-1", "router"), Process("job-1", "island", 1)],
)
def test_another_process_s_certificate(tmp_path: Path, other: Process) -> None:
    files = issued(tmp_path / "i", other)
    with pytest.raises(IdentityError, match=rf"is for {other.uri}, not for {ISLAND.uri}"):
        load(files, ISLAND, NOW)


def self_signed(*uris: str) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "atoll")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + LIFETIME)
    )
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize("uris", [(), (ISLAND.uri, ISLAND.uri), ("https://atoll.dev",)])
def test_a_certificate_that_names_none_or_two(uris: tuple[str, ...]) -> None:
    assert process_of(self_signed(*uris)) is None
    assert process_of(self_signed(ISLAND.uri)) == ISLAND


@given(st.lists(st.one_of(st.text(), st.just(ISLAND.uri)), max_size=3))
def test_only_one_uri_of_a_process_names_anybody(uris: list[str]) -> None:
    process = sole_process(uris)
    assert process is None or [process.uri] == uris
