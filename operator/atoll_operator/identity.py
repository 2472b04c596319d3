"""The certificate authority of one run, and a certificate for each of its processes.

The authority's key exists in the memory of this process and is never written: whoever starts a
run again issues everything anew. The operator of a cluster has one more, which it keeps. P-256
throughout: 1,000 certificates take 0.4 s of a core.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID

from atoll_api import names
from atoll_api.names import Process
from atoll_api.work_order import IdentityFiles

CLOCK_SKEW: Final = timedelta(hours=1)
"""A machine whose clock is behind by less takes a certificate that was issued just now."""
LIFETIME: Final = timedelta(days=365)
"""Longer than any run: certificates are not renewed while one goes on."""


@dataclass(frozen=True)
class Identity:
    """What one process proves itself with, in PEM."""

    process: Process
    certificate: bytes
    key: bytes
    authority: bytes


class Authority:
    """Issues certificates: for one job and run, or for the operator's own talks with any hub."""

    def __init__(
        self,
        job_uid: str | None,
        now: datetime,
        *,
        lifetime: timedelta = LIFETIME,
        restored: tuple[bytes, bytes] | None = None,
    ) -> None:
        """Make a key and a certificate for it, or take up what `private_pem` gave.

        Args:
            job_uid: The only job that this authority speaks for; None: for every job.
            now: In UTC; all that is issued is valid from `CLOCK_SKEW` before to `LIFETIME` after.
            lifetime: Of the authority itself.
            restored: Its certificate and its key, in PEM.

        Raises:
            ValueError: what was to be restored is no certificate or no key.
        """
        self._job_uid = job_uid
        self._now = now
        self._name = _name(job_uid or names.OPERATOR)
        if restored is not None:
            self.certificate, pem = restored
            key = load_pem_private_key(pem, None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ValueError("the authority's key is no elliptic curve key")
            self._key = key
            self.valid_until = x509.load_pem_x509_certificate(self.certificate).not_valid_after_utc
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.valid_until = now + lifetime
        public = self._key.public_key()
        signing = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            self._dated(self._name, public, self.valid_until)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(signing, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(Encoding.PEM)

    def issue(self, process: Process) -> Identity:
        """A certificate with one URI and one DNS name, and the key it belongs to.

        Raises:
            ValueError: the process belongs to another job.
        """
        if self._job_uid is not None and process.job_uid != self._job_uid:
            raise ValueError(f"{process.uri} is no process of job {self._job_uid}")
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.UniformResourceIdentifier(process.uri), x509.DNSName(process.host)]
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._dated(
                _name(names.CERTIFICATE_COMMON_NAME),
                key.public_key(),
                min(self._now + LIFETIME, self.valid_until),
            )
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_usages(process.role)), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Identity(
            process=process,
            certificate=certificate.public_bytes(Encoding.PEM),
            key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            authority=self.certificate,
        )

    @property
    def fingerprint(self) -> str:
        """The first 10 hexadecimal digits of the SHA-256 of its certificate."""
        found = x509.load_pem_x509_certificate(self.certificate)
        return found.fingerprint(hashes.SHA256()).hex()[:10]

    def private_pem(self) -> bytes:
        """Its key, for the one authority that outlives its process."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def _dated(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, until: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .issuer_name(self._name)
            .subject_name(subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - CLOCK_SKEW)
            .not_valid_after(until)
        )


def write(identities: Iterable[Identity], folder: Path) -> Mapping[Process, IdentityFiles]:
    """Replace a folder by the files of these processes; only their owner may read them.

    Raises:
        OSError: the folder cannot be written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return {identity.process: _write_one(identity, folder) for identity in identities}


def files_of(process: Process, folder: Path) -> IdentityFiles:
    """Where `write` puts what a process proves itself with."""
    stem = f"{process.role}-{process.index}"
    return IdentityFiles(
        certificate=str(folder / f"{stem}.crt"),
        key=str(folder / f"{stem}.key"),
        authority=str(folder / f"{stem}.ca"),
    )


def _write_one(identity: Identity, folder: Path) -> IdentityFiles:
    files = files_of(identity.process, folder)
    _write_private(files.certificate, identity.certificate)
    _write_private(files.key, identity.key)
    _write_private(files.authority, identity.authority)
    return files


def _write_private(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _usages(role: str) -> list[x509.ObjectIdentifier]:
    if role == names.HUB:
        return [Usage.SERVER_AUTH]  # it never dials: with its certificate nobody gets in
    if role == names.ISLAND:
        return [Usage.CLIENT_AUTH, Usage.SERVER_AUTH]  # its neighbours read from it
    return [Usage.CLIENT_AUTH]


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
