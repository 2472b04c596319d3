"""The certificates of a test cluster are what its components ask of each other."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from tools.cluster import certificates

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_every_leaf_is_signed_by_the_authority() -> None:
    files = certificates.issue(NOW)
    authority = x509.load_pem_x509_certificate(files["ca.crt"])
    for name in certificates.LEAVES:
        leaf = x509.load_pem_x509_certificate(files[f"{name}.crt"])
        leaf.verify_directly_issued_by(authority)
        assert leaf.not_valid_after_utc - NOW >= timedelta(days=3650)


def test_a_kubelet_is_its_node_and_the_api_is_found_by_its_names() -> None:
    files = certificates.issue(NOW)
    subject = x509.load_pem_x509_certificate(files["kubelet.crt"]).subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:node1"
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"
    server = x509.load_pem_x509_certificate(files["kube-apiserver.crt"])
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)
    assert ip_address("10.96.0.1") in names.get_values_for_type(x509.IPAddress)


def test_they_are_made_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    certificates.make(folder, NOW)
    first = (folder / "ca.crt").read_bytes()
    certificates.make(folder, NOW)
    assert (folder / "ca.crt").read_bytes() == first
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert [path.name for path in tmp_path.iterdir()] == ["certificates"]
