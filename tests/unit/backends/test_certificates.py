"""The authority and the server certificate: made once, renewed in time, and honest about damage."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store

from lepton_ai.backends.certificates import (
    CA_LIFETIME,
    RENEW_BEFORE,
    SERVER_LIFETIME,
    TlsFiles,
    ensure_certificates,
)
from lepton_ai.errors import InvalidInput, StorageFailed

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADDRESSES = ("192.168.7.5", "lab.example.org")


def make(folder: Path, *addresses: str, now: datetime = NOW) -> TlsFiles:
    return ensure_certificates(folder, addresses or ADDRESSES, now)


def server(files: TlsFiles) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files.server_pem.read_bytes())


def names(files: TlsFiles) -> x509.SubjectAlternativeName:
    return server(files).extensions.get_extension_for_class(x509.SubjectAlternativeName).value


@pytest.mark.parametrize("address", ["192.168.7.5", "127.0.0.1", "::1"])
def test_clients_that_trust_the_authority_accept_the_server_at_its_addresses(tmp_path: Path, address: str) -> None:
    files = make(tmp_path)
    store = Store([x509.load_pem_x509_certificate(files.ca.read_bytes())])
    verifier = (
        PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.IPAddress(ipaddress.ip_address(address)))
    )
    assert len(verifier.verify(server(files), [])) == 2


def test_host_names_are_covered(tmp_path: Path) -> None:
    covered = names(make(tmp_path)).get_values_for_type(x509.DNSName)
    assert set(covered) == {"localhost", "lab.example.org", socket.gethostname()}


def test_the_wildcard_address_stands_for_all_addresses_and_is_not_named_itself(tmp_path: Path) -> None:
    covered = names(make(tmp_path, "0.0.0.0")).get_values_for_type(x509.IPAddress)
    assert ipaddress.ip_address("127.0.0.1") in covered
    assert ipaddress.ip_address("0.0.0.0") not in covered


def test_openssl_loads_the_files(tmp_path: Path) -> None:
    files = make(tmp_path)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.server_pem)
    assert ssl.create_default_context(cafile=str(files.ca)).get_ca_certs()


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (make(tmp_path), tmp_path)[1].iterdir()}
    make(tmp_path, now=NOW + timedelta(days=30))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_order_of_addresses_does_not_matter(tmp_path: Path) -> None:
    before = make(tmp_path, "10.0.0.1", "10.0.0.2").server_pem.read_bytes()
    assert make(tmp_path, "10.0.0.2", "10.0.0.1").server_pem.read_bytes() == before


def test_it_is_renewed_before_it_ends_and_the_authority_stays(tmp_path: Path) -> None:
    first, ca = server(make(tmp_path)), (tmp_path / "ca.pem").read_bytes()
    second = server(make(tmp_path, now=NOW + SERVER_LIFETIME - RENEW_BEFORE + timedelta(hours=1)))
    assert second.serial_number != first.serial_number
    assert second.not_valid_after_utc > first.not_valid_after_utc
    assert (tmp_path / "ca.pem").read_bytes() == ca


def test_it_is_made_anew_when_the_addresses_change(tmp_path: Path) -> None:
    make(tmp_path, "10.0.0.1")
    covered = names(make(tmp_path, "10.0.0.2")).get_values_for_type(x509.IPAddress)
    assert ipaddress.ip_address("10.0.0.2") in covered
    assert ipaddress.ip_address("10.0.0.1") not in covered


def test_it_is_made_anew_when_the_clock_was_wrong(tmp_path: Path) -> None:
    make(tmp_path, now=NOW + timedelta(days=3))
    assert server(make(tmp_path)).not_valid_before_utc <= NOW


def test_an_authority_near_its_end_is_renewed_with_the_same_key(tmp_path: Path) -> None:
    make(tmp_path)
    old = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    late = NOW + CA_LIFETIME - timedelta(days=100)
    store = Store([x509.load_pem_x509_certificate(make(tmp_path, now=late).ca.read_bytes())])
    new = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    assert new.not_valid_after_utc > old.not_valid_after_utc
    assert new.public_key() == old.public_key()
    verifier = PolicyBuilder().store(store).time(late).build_server_verifier(x509.DNSName("localhost"))
    assert verifier.verify(server(TlsFiles(tmp_path / "ca.pem", tmp_path / "server.pem")), [])


def test_the_keys_are_for_the_owner_alone(tmp_path: Path) -> None:
    make(tmp_path / "tls")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.key": 0o600, "ca.pem": 0o644, "server.pem": 0o600}
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_keys_that_others_may_read_are_closed_again(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "ca.key").chmod(0o644)
    (tmp_path / "server.pem").chmod(0o644)
    make(tmp_path)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ca.key", "server.pem")} == {0o600}


def test_the_key_is_p_256(tmp_path: Path) -> None:
    make(tmp_path)
    key = serialization.load_pem_private_key((tmp_path / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"


def test_the_authority_may_sign_no_other_authority(tmp_path: Path) -> None:
    ca = x509.load_pem_x509_certificate(make(tmp_path).ca.read_bytes())
    constraint = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraint.critical, constraint.value.ca, constraint.value.path_length) == (True, True, 0)


@pytest.mark.parametrize("name", ["ca.pem", "ca.key"])
@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\xff\x00"]
)
def test_a_damaged_authority_is_named_with_what_to_do(tmp_path: Path, name: str, content: bytes) -> None:
    make(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StorageFailed, match=name.replace(".", r"\.") + " is damaged") as caught:
        make(tmp_path)
    assert str(tmp_path) in caught.value.hint


def test_the_key_of_another_authority_is_noticed(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b")
    (tmp_path / "b" / "ca.key").replace(tmp_path / "a" / "ca.key")
    with pytest.raises(StorageFailed, match="does not belong to"):
        make(tmp_path / "a")


def test_a_lost_authority_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "ca.key").unlink()
    with pytest.raises(StorageFailed, match="is missing"):
        make(tmp_path)


def test_a_crash_between_key_and_certificate_is_mended(tmp_path: Path) -> None:
    make(tmp_path)
    key = (tmp_path / "ca.key").read_bytes()
    (tmp_path / "ca.pem").unlink()
    make(tmp_path)
    assert (tmp_path / "ca.key").read_bytes() == key


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff"])
def test_a_damaged_server_certificate_is_simply_made_anew(tmp_path: Path, content: bytes) -> None:
    make(tmp_path).server_pem.write_bytes(content)
    assert server(make(tmp_path)).not_valid_after_utc > NOW


def test_a_server_certificate_of_another_authority_is_made_anew(tmp_path: Path) -> None:
    foreign = make(tmp_path / "a").server_pem.read_bytes()
    make(tmp_path / "b").server_pem.write_bytes(foreign)
    assert make(tmp_path / "b").server_pem.read_bytes() != foreign


@pytest.mark.parametrize("address", ["", "a b", "host/../x", "x" * 64, "ho\nst", "1.2.3.4.5:80"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(InvalidInput, match="neither an IP address nor a host name"):
        make(tmp_path, address)


def test_too_many_addresses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="the most is 100"):
        make(tmp_path, *(f"10.0.0.{n}" for n in range(120)))


def test_a_folder_that_cannot_be_made_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("in the way")
    with pytest.raises(StorageFailed, match="cannot be written or read"):
        make(tmp_path / "tls")
