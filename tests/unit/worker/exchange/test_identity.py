"""A process looks at its own certificate before it dials: every way in which that can be wrong."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from atoll_api.exit_codes import ExitCode
from atoll_api.names import Process
from atoll_api.work_order import IdentityFiles
from atoll_operator.identity import CLOCK_SKEW, LIFETIME, Authority, Identity, write
from atoll_worker.errors import IdentityError
from atoll_worker.exchange.identity import load, sole_process

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
    assert credentials.hub.host == "hub-0.job-1.atoll.internal"


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


def test_a_date_that_is_none(tmp_path: Path) -> None:
    """Nobody signs an authority but itself: a flipped bit of its date is seen where it is read."""
    files = issued(tmp_path / "i")
    lines = Path(files.authority).read_text().splitlines()
    content = bytearray(base64.b64decode("".join(lines[1:-1])))
    content[content.index(b"251231")] ^= 0x40  # the first digit of the year is a letter now
    text = base64.encodebytes(content).decode()
    Path(files.authority).write_text(f"{lines[0]}\n{text}{lines[-1]}\n")
    with pytest.raises(IdentityError, match="ca has a date that is none"):
        load(files, ISLAND, NOW)


@pytest.mark.parametrize("path", ["\x00", "\ud800"])
def test_a_path_that_no_file_can_have(tmp_path: Path, path: str) -> None:
    files = replaced(issued(tmp_path / "i"), key=path)
    with pytest.raises(IdentityError, match="cannot be read"):
        load(files, ISLAND, NOW)


@pytest.mark.parametrize(
    "other",
    [Process("job-2", "island", 2), Process("job-1", "router"), Process("job-1", "island", 1)],
)
def test_another_process_s_certificate(tmp_path: Path, other: Process) -> None:
    files = issued(tmp_path / "i", other)
    with pytest.raises(IdentityError, match=rf"is for {other.uri}, not for {ISLAND.uri}"):
        load(files, ISLAND, NOW)


Key = ec.EllipticCurvePrivateKey


def signed(key: Key, by: Key, days: int, *uris: str, ca: bool = False) -> bytes:
    """A certificate of anybody's making, in PEM."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named("authority" if ca else "atoll"))
        .issuer_name(_named("authority"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(by, hashes.SHA256()).public_bytes(Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def made(folder: Path, *uris: str, authority_days: int = 9) -> IdentityFiles:
    """The files of a certificate that names these, by an authority that lasts so long."""
    key, authority = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    own = signed(key, authority, 9, *uris)
    issuer = signed(authority, authority, authority_days, ca=True)
    return write([Identity(ISLAND, own, pem, issuer)], folder)[ISLAND]


@pytest.mark.parametrize("uris", [(), (ISLAND.uri, ISLAND.uri), ("https://atoll.dev",)])
def test_a_certificate_that_names_none_or_two(tmp_path: Path, uris: tuple[str, ...]) -> None:
    assert load(made(tmp_path / "one", ISLAND.uri), ISLAND, NOW).process == ISLAND
    with pytest.raises(IdentityError, match="crt is for no process of Atoll, not for"):
        load(made(tmp_path / "other", *uris), ISLAND, NOW)


def test_a_hub_s_certificate_is_for_serving_and_accepted_as_such(tmp_path: Path) -> None:
    hub = Process("job-1", "hub")
    assert load(issued(tmp_path / "hub", hub), hub, NOW).process == hub
    with pytest.raises(IdentityError, match=rf"is for {ISLAND.uri}, not for {hub.uri}"):
        load(issued(tmp_path / "island"), hub, NOW)


def test_a_key_behind_a_password_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    files = issued(tmp_path / "i")
    key = load_pem_private_key(Path(files.key).read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    Path(files.key).write_bytes(locked)
    with pytest.raises(IdentityError, match=r"island-2\.key is no private key"):
        load(files, ISLAND, NOW)


def test_an_authority_that_expires_before_its_certificate(tmp_path: Path) -> None:
    files = made(tmp_path / "i", ISLAND.uri, authority_days=3)
    assert load(files, ISLAND, NOW + timedelta(days=2)).process == ISLAND
    with pytest.raises(IdentityError, match=r"island-2\.ca expired at 2026-01-04"):
        load(files, ISLAND, NOW + timedelta(days=4))


@given(st.lists(st.one_of(st.text(), st.just(ISLAND.uri)), max_size=3))
def test_only_one_uri_of_a_process_names_anybody(uris: list[str]) -> None:
    process = sole_process(uris)
    assert process is None or [process.uri] == uris
