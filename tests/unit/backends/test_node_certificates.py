"""Certificates of nodes: for the name and address that the core says, signed by its authority, renewed in time."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from lepton_ai.backends.certificates import ensure_certificates
from lepton_ai.backends.node_certificates import (
    NODE_LIFETIME,
    RENEW_BEFORE,
    Holder,
    fingerprint_of,
    fingerprint_of_file,
    is_near_its_end,
    request_certificate,
    sign_request,
)
from lepton_ai.errors import InvalidInput, StorageFailed

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_certificate_is_signed_by_the_core_for_clients_and_servers(tmp_path: Path) -> None:
    signed = sign_request(tmp_path, request_certificate("beta")[1], Holder("beta", "10.0.0.2"), NOW)
    certificate = x509.load_pem_x509_certificate(signed.certificate.encode())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(signed.authority.encode()))
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert len(list(usage)) == 2
    assert signed.expires_at == NOW + NODE_LIFETIME


def test_the_name_in_the_request_does_not_count(tmp_path: Path) -> None:
    signed = sign_request(tmp_path, request_certificate("head")[1], Holder("beta", "10.0.0.2"), NOW)
    assert x509.load_pem_x509_certificate(signed.certificate.encode()).subject.rfc4514_string() == "CN=beta"


def test_only_the_core_is_called_the_core_and_a_node_stands_for_every_name_below_its_own(tmp_path: Path) -> None:
    holders = Holder("alpha", "10.0.0.1", is_core=True), Holder("beta", "10.0.0.2")
    signed = [sign_request(tmp_path, request_certificate("x")[1], one, NOW).certificate for one in holders]
    core, beta = (x509.load_pem_x509_certificate(pem.encode()) for pem in signed)
    assert [one.subject.rfc4514_string() for one in (core, beta)] == ["OU=core,CN=alpha", "CN=beta"]
    names = beta.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "*.beta.node.lepton" in names.get_values_for_type(x509.DNSName)
    file = tmp_path / "beta.pem"
    file.write_text(signed[1])
    assert [is_near_its_end(file, NOW, replace(holders[1], is_core=is_core)) for is_core in (False, True)] == [
        False,
        True,
    ]


@pytest.mark.parametrize("request_pem", ["", "no request", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
def test_what_is_no_request_is_refused(tmp_path: Path, request_pem: str) -> None:
    with pytest.raises(InvalidInput, match="certificate_request"):
        sign_request(tmp_path, request_pem, Holder("beta", "10.0.0.2"), NOW)


@pytest.mark.parametrize(
    ("passed", "address", "is_due"),
    [
        (timedelta(0), "10.0.0.2", False),
        (timedelta(0), "10.0.0.3", True),
        (NODE_LIFETIME - RENEW_BEFORE - timedelta(seconds=1), "10.0.0.2", False),
        (NODE_LIFETIME - RENEW_BEFORE + timedelta(seconds=1), "10.0.0.2", True),
    ],
    ids=["fresh", "another-address", "not-yet", "near-its-end"],
)
def test_a_certificate_is_renewed_before_it_ends(tmp_path: Path, passed: timedelta, address: str, is_due: bool) -> None:
    file = tmp_path / "node.pem"
    file.write_text(sign_request(tmp_path, request_certificate("b")[1], Holder("b", "10.0.0.2"), NOW).certificate)
    assert is_near_its_end(file, NOW + passed, Holder("b", address)) is is_due


def test_a_certificate_that_is_missing_or_damaged_is_due(tmp_path: Path) -> None:
    (tmp_path / "damaged.pem").write_text("nothing")
    assert [
        is_near_its_end(tmp_path / name, NOW, Holder("b", "10.0.0.2")) for name in ("missing.pem", "damaged.pem")
    ] == [
        True,
        True,
    ]


def test_a_file_has_the_fingerprint_of_what_is_shown_to_clients(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, [], NOW)
    text = files.server_pem.read_text()
    shown = ssl.PEM_cert_to_DER_cert(text[: text.index("-----BEGIN PRIVATE")])
    assert fingerprint_of_file(files.server_pem) == fingerprint_of(shown)
    assert len(fingerprint_of(shown)) == 43


def test_a_file_without_a_certificate_has_no_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    with pytest.raises(StorageFailed, match="cannot be read"):
        fingerprint_of_file(tmp_path / "none.pem")
