"""The certificates of a cluster: one authority, one leaf a component.

Made once for a cluster, in memory, and put in place by one rename.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import mkdtemp

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tools.cluster.addresses import API_SERVICE, DOMAIN, GATEWAY, NODE

AUTHORITY = "ca"
SERVICE_ACCOUNTS = "service-accounts"
"""Signs the tokens of pods: a key without a certificate."""
VALID = timedelta(days=3650)
LOOPBACK = IPv4Address("127.0.0.1")
API_NAMES = tuple(
    ".".join(("kubernetes", "default", "svc", *DOMAIN.split("."))[:count]) for count in (1, 2, 3, 5)
)


@dataclass(frozen=True)
class Leaf:
    """Who a component is to the others, and under which names it serves."""

    common_name: str
    organization: str | None = None
    names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()


LEAVES = {
    "admin": Leaf("admin", "system:masters"),
    "etcd": Leaf("etcd", names=("localhost",), addresses=(LOOPBACK,)),
    "kube-apiserver": Leaf(
        "kube-apiserver",
        "system:masters",  # the kubelet asks who wants to run commands in its pods
        names=("localhost", *API_NAMES),
        addresses=(LOOPBACK, GATEWAY, API_SERVICE),
    ),
    "kube-controller-manager": Leaf("system:kube-controller-manager"),
    "kube-scheduler": Leaf("system:kube-scheduler"),
    "kube-proxy": Leaf("system:kube-proxy"),
    "kubelet": Leaf(
        f"system:node:{NODE}", "system:nodes", names=(NODE,), addresses=(GATEWAY, LOOPBACK)
    ),
    "coredns": Leaf("atoll:coredns"),
    "storage": Leaf("atoll:storage"),
}


def make(folder: Path, now: datetime) -> None:
    """Write all of them, unless they are there."""
    if folder.exists():
        return
    made = Path(mkdtemp(prefix=".certificates-", dir=folder.parent))
    for name, content in issue(now).items():
        path = made / name
        path.touch(mode=0o600)
        path.write_bytes(content)
    made.rename(folder)


def issue(now: datetime) -> dict[str, bytes]:
    """File name -> content."""
    authority_key = _key()
    authority = _authority(authority_key, now)
    signer = _key()
    files = {
        f"{AUTHORITY}.crt": _pem(authority),
        f"{AUTHORITY}.key": _private(authority_key),
        f"{SERVICE_ACCOUNTS}.key": _private(signer),
        f"{SERVICE_ACCOUNTS}.pub": _public(signer),
    }
    for name, leaf in LEAVES.items():
        key = _key()
        certificate = _leaf(leaf, key.public_key(), now).sign(authority_key, hashes.SHA256())
        files |= {f"{name}.crt": _pem(certificate), f"{name}.key": _private(key)}
    return files


def _authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(_name(Leaf("atoll-test-cluster")), key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _leaf(leaf: Leaf, key: ec.EllipticCurvePublicKey, now: datetime) -> x509.CertificateBuilder:
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = _builder(_name(leaf), key, now).add_extension(
        x509.ExtendedKeyUsage(uses), critical=False
    )
    served: list[x509.GeneralName] = [x509.DNSName(name) for name in leaf.names]
    served += [x509.IPAddress(address) for address in leaf.addresses]
    if not served:
        return builder
    return builder.add_extension(x509.SubjectAlternativeName(served), critical=False)


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_name(Leaf("atoll-test-cluster")))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID)
    )


def _name(leaf: Leaf) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)]
    if leaf.organization:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, leaf.organization))
    return x509.Name(parts)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def current_time() -> datetime:
    """Now, in the one zone that certificates know."""
    return datetime.now(UTC)
