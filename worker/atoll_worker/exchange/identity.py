"""Who this process is: its certificate, checked before anybody is dialled. No torch.

A refused handshake looks to gRPC like a peer that is away, so what can be known beforehand is
known beforehand: a wrong date or issuer is one line at once and not three minutes of patience.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from atoll_api import names
from atoll_api.names import Process, parse_process_uri
from atoll_api.work_order import IdentityFiles
from atoll_worker.errors import IdentityError

_REMEDY = "run again, a run issues new certificates"


@dataclass(frozen=True)
class Credentials:
    """What a process proves itself with, in PEM."""

    process: Process
    certificate: bytes
    key: bytes
    authority: bytes

    def for_channel(self) -> grpc.ChannelCredentials:
        """To dial with."""
        return grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)

    def for_server(self) -> grpc.ServerCredentials:
        """To serve with; a client without a certificate of this job is refused."""
        pair = (self.key, self.certificate)
        return grpc.ssl_server_credentials([pair], self.authority, require_client_auth=True)

    @property
    def hub_host(self) -> str:
        """The DNS name that the certificate of this job's hub must have."""
        return Process(self.process.job_uid, names.HUB).host


def load(files: IdentityFiles, expected: Process, now: datetime) -> Credentials:
    """Read the files of a process and check all that its peers will.

    Args:
        files: Certificate, key and authority, in PEM.
        expected: Whom the certificate has to name.
        now: In UTC.

    Raises:
        IdentityError: a file cannot be read, the certificate is not valid now, not by this
            authority, or not for this process.
    """
    certificate_pem, key_pem, authority_pem = (
        _read(path) for path in (files.certificate, files.key, files.authority)
    )
    certificate = _parse(certificate_pem, files.certificate)
    authority = _parse(authority_pem, files.authority)
    _check_key(certificate, key_pem, files)
    _check_issuer(certificate, authority, files)
    for checked, path in ((certificate, files.certificate), (authority, files.authority)):
        _check_dates(checked, path, now)
    process = process_of(certificate)
    if process != expected:
        found = process.uri if process else "no process of Atoll"
        raise IdentityError(
            f"{files.certificate} is for {found}, not for {expected.uri}: {_REMEDY}"
        )
    return Credentials(expected, certificate_pem, key_pem, authority_pem)


def process_of(certificate: x509.Certificate) -> Process | None:
    """Whom a certificate names: None unless it has exactly one URI, and that is a process's."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return None
    return sole_process(extension.value.get_values_for_type(x509.UniformResourceIdentifier))


def sole_process(uris: list[str]) -> Process | None:
    """Whom the URIs of a certificate name: of two nobody could say which one counts."""
    return parse_process_uri(uris[0]) if len(uris) == 1 else None


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise IdentityError(f"{path} cannot be read ({error.strerror}): {_REMEDY}") from error


def _parse(content: bytes, path: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise IdentityError(f"{path} is no certificate: {_REMEDY}") from error


def _check_key(certificate: x509.Certificate, key_pem: bytes, files: IdentityFiles) -> None:
    try:
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise IdentityError(f"{files.key} is no private key: {_REMEDY}") from error
    if key.public_key() != certificate.public_key():
        raise IdentityError(f"{files.key} is not the key of {files.certificate}: {_REMEDY}")


def _check_issuer(
    certificate: x509.Certificate, authority: x509.Certificate, files: IdentityFiles
) -> None:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise IdentityError(
            f"{files.certificate} was not issued by the authority in {files.authority}: {_REMEDY}"
        ) from error


def _check_dates(certificate: x509.Certificate, path: str, now: datetime) -> None:
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < first:
        raise IdentityError(
            f"{path} is not valid before {first:%Y-%m-%d %H:%M} UTC, and the clock says "
            f"{now:%Y-%m-%d %H:%M}: set the clock, or {_REMEDY}"
        )
    if now > last:
        raise IdentityError(
            f"{path} expired at {last:%Y-%m-%d %H:%M} UTC, and the clock says "
            f"{now:%Y-%m-%d %H:%M}: set the clock, or {_REMEDY}"
        )
