"""Who this process is: its certificate, checked before anybody is dialled. No torch.

A refused handshake looks to gRPC like a peer that is away, so what can be known beforehand is
known beforehand: a wrong date or issuer is one line at once and not three minutes of patience.

A process checks itself as its peers will: by a handshake, with itself and in memory. That takes
the `ssl` that asyncio loads anyway; `cryptography` would bring an OpenSSL of its own, 11 MB of a
hub's 60 and a tenth of its time to start.
"""

import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc

from atoll_api import names
from atoll_api.hub_order import IdentityFiles
from atoll_api.names import Process, parse_process_uri
from atoll_worker.errors import IdentityError

_REMEDY: Final = "run again, a run issues new certificates"
_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: `now` is an argument, and the dates are compared here."""
_FLIGHTS: Final = 4
"""More than a handshake of TLS 1.3 has."""

Fields = Mapping[str, Any]
"""What `ssl` says of a certificate."""


@dataclass(frozen=True)
class Credentials:
    """What a process proves itself with, in PEM."""

    process: Process
    certificate: bytes
    key: bytes
    authority: bytes
    expires: datetime | None = None
    """In UTC; None where nobody looked."""

    def for_channel(self) -> grpc.ChannelCredentials:
        """To dial with."""
        return grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)

    def for_server(self) -> grpc.ServerCredentials:
        """To serve with; a client without a certificate of this job is refused."""
        pair = (self.key, self.certificate)
        return grpc.ssl_server_credentials([pair], self.authority, require_client_auth=True)

    @property
    def hub(self) -> Process:
        """The hub of the same job."""
        return Process(self.process.job_uid, names.HUB)


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
    certificate, key, authority = (
        _read(path) for path in (files.certificate, files.key, files.authority)
    )
    for path in (files.certificate, files.authority):
        _check_form(path)
    own, issuers = _as_peers_see_it(files)
    _check_dates(own, files.certificate, now)
    for issuer in issuers:
        _check_dates(issuer, files.authority, now)
    process = _process_of(own)
    if process != expected:
        found = process.uri if process else "no process of Atoll"
        raise IdentityError(
            f"{files.certificate} is for {found}, not for {expected.uri}: {_REMEDY}"
        )
    return Credentials(expected, certificate, key, authority, _date(own["notAfter"]))


def sole_process(uris: list[str]) -> Process | None:
    """Whom the URIs of a certificate name: of two nobody could say which one counts."""
    return parse_process_uri(uris[0]) if len(uris) == 1 else None


def _process_of(fields: Fields) -> Process | None:
    """Whom a certificate names: None unless it has exactly one URI, and that is a process's."""
    return sole_process([name for kind, name in fields.get("subjectAltName", ()) if kind == "URI"])


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise IdentityError(f"{path} cannot be read ({error.strerror}): {_REMEDY}") from error
    except ValueError as error:  # no system has a file of such a name
        raise IdentityError(f"{path!r} cannot be read ({error}): {_REMEDY}") from error


def _check_form(path: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise IdentityError(f"{path} is no certificate: {_REMEDY}") from error


def _as_peers_see_it(files: IdentityFiles) -> tuple[Fields, Sequence[Fields]]:
    """The certificate, and the authority's, once a peer that trusts the authority took it."""
    try:
        try:
            return _handshake(files, ssl.PROTOCOL_TLS_SERVER)
        except ssl.SSLCertVerificationError:
            return _handshake(files, ssl.PROTOCOL_TLS_CLIENT)  # a hub's is for serving
    except ssl.SSLError as error:
        raise IdentityError(
            f"{files.certificate} was not issued by the authority in {files.authority}: {_REMEDY}"
        ) from error


def _handshake(files: IdentityFiles, judging: int) -> tuple[Fields, Sequence[Fields]]:
    """Talk to oneself; one side asks for the certificate and judges it as a peer would."""
    server, client = (
        _context(protocol, files) for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
    )
    judge = server if judging == ssl.PROTOCOL_TLS_SERVER else client
    judge.load_verify_locations(files.authority)
    judge.verify_mode = ssl.CERT_REQUIRED
    judge.verify_flags |= _NO_CHECK_TIME
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = {
        client: client.wrap_bio(to_client, to_server),
        server: server.wrap_bio(to_server, to_client, server_side=True),
    }
    for end in [*ends.values()] * _FLIGHTS:
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return ends[judge].getpeercert() or {}, judge.get_ca_certs()


def _context(protocol: int, files: IdentityFiles) -> ssl.SSLContext:
    """One side, which shows the certificate and asks for none."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        # A password that is given is one that nobody is asked for on a terminal.
        context.load_cert_chain(files.certificate, files.key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            message = f"{files.key} is not the key of {files.certificate}"
        else:
            message = f"{files.key} is no private key"
        raise IdentityError(f"{message}: {_REMEDY}") from error
    return context


def _check_dates(certificate: Fields, path: str, now: datetime) -> None:
    try:
        first, last = (_date(certificate[field]) for field in ("notBefore", "notAfter"))
    except ValueError as error:
        raise IdentityError(f"{path} has a date that is none: {_REMEDY}") from error
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


def _date(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)
