"""The platform's own certificate authority and the server certificate that the one HTTPS port shows.

Both live in one folder: `ca.pem` (clients trust it), `ca.key` (0600), `server.pem` (certificate and key, 0600).
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lepton_ai.errors import InvalidInput, StorageFailed

CA_LIFETIME = timedelta(days=3650)
# Apple's systems refuse server certificates that live longer than 825 days, even from a private authority.
SERVER_LIFETIME = timedelta(days=397)
RENEW_BEFORE = timedelta(days=30)
# Machines of one cluster may disagree on the time by this much.
CLOCK_SKEW = timedelta(minutes=5)
ADDRESSES_MAX = 100


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """`ca` is for clients to trust; `server_pem` holds certificate, then key, as HAProxy reads them."""

    ca: Path
    server_pem: Path


def ensure_certificates(folder: Path, addresses: Iterable[str], now: datetime) -> TlsFiles:
    """Make or renew what is missing, near its end, or made for other addresses; else change nothing.

    `addresses` are IP addresses or host names under which clients reach this machine (0.0.0.0 stands for all that it
    has now); the loopback addresses, `localhost` and the host's own name are added. The authority is made once and
    stays, so that clients which trust it go on doing so. Raises StorageFailed if a file is unreadable or damaged,
    InvalidInput for an address that is none.
    """
    names = _subject_names(addresses)
    files = TlsFiles(folder / "ca.pem", folder / "server.pem")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca, ca_key = ensure_authority(folder, now)
        if not _still_serves(files.server_pem, ca, names, now):
            write_whole(files.server_pem, _issue(ca, ca_key, names, now))
    except OSError as error:
        raise StorageFailed(
            f"The certificates in {folder} cannot be written or read: {error.strerror or error}.",
            hint="Check the disk's free space and the owner of the folder.",
        ) from error
    return files


def ensure_authority(folder: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the authority and its key, made or renewed if need be; raises OSError, or StorageFailed if damaged."""
    path, key_path = folder / "ca.pem", folder / "ca.key"
    if key_path.exists() and path.exists():
        ca, key = _read_certificate(path), _read_key(key_path)
        if _public_bytes(ca.public_key()) != _public_bytes(key.public_key()):
            raise _damaged(path, f"it does not belong to {key_path.name}")
        key_path.chmod(0o600)
        if ca.not_valid_after_utc - now > SERVER_LIFETIME:
            return ca, key
        # The same key and name again: what the old one signed stays valid, and clients need the new file within a year.
        ca = _make_authority(key, now)
        write_whole(path, ca.public_bytes(serialization.Encoding.PEM), mode=0o644)
        return ca, key
    # A key without its certificate is what a crash between the two writes leaves behind: go on with that key.
    key = _read_key(key_path) if key_path.exists() else ec.generate_private_key(ec.SECP256R1())
    if path.exists() and not key_path.exists():
        raise _damaged(key_path, f"it is missing while {path.name} is there")
    write_whole(key_path, key_pem(key))
    ca = _make_authority(key, now)
    write_whole(path, ca.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return ca, key


def _make_authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Lepton AI local authority")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = key_usage(signs_certificates=True)
    return (
        certificate_builder(name, name, key.public_key(), now, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )


def _issue(
    ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName], now: datetime
) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Lepton AI")])
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        certificate_builder(subject, ca.subject, key.public_key(), now, SERVER_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key_pem(key)


def certificate_builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _still_serves(path: Path, ca: x509.Certificate, names: list[x509.GeneralName], now: datetime) -> bool:
    """Tell whether the server certificate may stay. A damaged one is no trouble: it is simply made anew."""
    try:
        certificate = _read_certificate(path)
        is_whole = _public_bytes(_read_key(path).public_key()) == _public_bytes(certificate.public_key())
        certificate.verify_directly_issued_by(ca)
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, StorageFailed, InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    path.chmod(0o600)
    is_valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc - RENEW_BEFORE
    return is_whole and is_valid and set(held) == set(names)


def _subject_names(addresses: Iterable[str]) -> list[x509.GeneralName]:
    given = set(addresses)
    wanted = {"127.0.0.1", "::1", "localhost", *given}
    if any(_is_wildcard(each) for each in given):
        wanted |= _local_addresses()
    wanted |= {"localhost"} if _is_unusable(socket.gethostname()) else {socket.gethostname()}
    if len(wanted) > ADDRESSES_MAX:
        raise InvalidInput(f"A certificate for {len(wanted)} addresses was asked for; the most is {ADDRESSES_MAX}.")
    return [_general_name(each) for each in sorted(wanted) if not _is_wildcard(each)]


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        pass
    if _is_unusable(address):
        raise InvalidInput(f"{address[:100]!r} is neither an IP address nor a host name, so it has no certificate.")
    return x509.DNSName(address)


def _is_unusable(name: str) -> bool:
    labels = name.removesuffix(".").split(".")
    fits = all(0 < len(label) < 64 and label.replace("-", "").replace("_", "").isalnum() for label in labels)
    return not (fits and name.isascii() and len(name) < 254)


def _is_wildcard(address: str) -> bool:
    """Tell whether it means every address of this machine: a client can never have connected to it."""
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def _local_addresses() -> set[str]:
    addresses = (each.address for all_of_one in psutil.net_if_addrs().values() for each in all_of_one)
    found = {address for address in addresses if "%" not in address and _is_ip(address)}
    return set(sorted(found)[: ADDRESSES_MAX // 2])


def _is_ip(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise _damaged(path, "it holds no certificate") from error


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise _damaged(path, "it holds no private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _damaged(path, "its key is of another kind")
    return key


def _damaged(path: Path, why: str) -> StorageFailed:
    return StorageFailed(
        f"{path} is damaged: {why}.",
        hint=f"Restore it, or delete {path.parent}: a new authority is made, which clients must be given again.",
    )


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_bytes(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return b""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def write_whole(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace the file in one step that a power cut cannot halve."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
