"""The certificates with which the nodes of a cluster know one another: requested by a node, signed by the core's CA."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lepton_ai.backends.certificates import certificate_builder, ensure_authority, key_pem, key_usage
from lepton_ai.errors import InvalidInput, StorageFailed
from lepton_ai.types.data_plane import domain_of

# Ray reads its own certificate once, when a node's processes start (ADR 0019), so a short life would mean restarts.
NODE_LIFETIME = timedelta(days=397)
RENEW_BEFORE = timedelta(days=60)
CORE = "core"  # the organizational unit of whom nodes let in to their replicas


@dataclass(frozen=True, slots=True)
class NodeCertificate:
    """What a node is given, as PEM, and when its certificate ends."""

    certificate: str
    authority: str
    expires_at: datetime


def request_certificate(name: str) -> tuple[bytes, str]:
    """Return a new private key (PEM) and a request (PEM) to certify it for node `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_subject(name)).sign(key, hashes.SHA256())
    return key_pem(key), request.public_bytes(serialization.Encoding.PEM).decode()


@dataclass(frozen=True, slots=True)
class Holder:
    """For whom a certificate is: a node by its name and address; the core's own says that it `is_core`."""

    name: str
    address: str
    is_core: bool = False


def sign_request(authority: Path, request_pem: str, holder: Holder, now: datetime) -> NodeCertificate:
    """Sign the key of a request with the authority in a folder, for that holder whatever it asks for.

    The alternative names are the address, which Ray's processes call one another by, loopback, and every name below the
    node's domain, by which its replicas are asked for (ADR 0021). Raises InvalidInput for a request that is none, and
    StorageFailed if the authority cannot be read.
    """
    public_key = _key_of(request_pem)
    try:
        ca, ca_key = ensure_authority(authority, now)
    except OSError as error:
        raise StorageFailed(f"The authority in {authority} cannot be read: {error.strerror or error}.") from error
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName(_all_below(holder.name))]
    addresses = dict.fromkeys((holder.address, "127.0.0.1", "::1"))
    names += [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    made = (
        certificate_builder(_subject(holder.name, is_core=holder.is_core), ca.subject, public_key, now, NODE_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return NodeCertificate(made.public_bytes(pem).decode(), ca.public_bytes(pem).decode(), made.not_valid_after_utc)


def is_near_its_end(certificate_file: Path, now: datetime, holder: Holder) -> bool:
    """Tell whether the certificate should be renewed now; so should one for another holder, or that is unreadable."""
    try:
        found = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return True
    is_for_it = (
        ipaddress.ip_address(holder.address) in names.get_values_for_type(x509.IPAddress)
        and _all_below(holder.name) in names.get_values_for_type(x509.DNSName)
        and found.subject == _subject(holder.name, is_core=holder.is_core)
    )
    return not is_for_it or now > found.not_valid_after_utc - RENEW_BEFORE


def fingerprint_of(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate (DER), base64url without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(certificate).digest()).decode().rstrip("=")


def fingerprint_of_file(path: Path) -> str:
    """Return the fingerprint of the first certificate in a PEM file; raises StorageFailed."""
    try:
        text = path.read_text()
        whole = text[: text.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
        return fingerprint_of(ssl.PEM_cert_to_DER_cert(whole))
    except (OSError, ValueError) as error:
        raise StorageFailed(f"The certificate {path} cannot be read: {error}.") from error


def _key_of(request_pem: str) -> ec.EllipticCurvePublicKey:
    try:
        request = x509.load_pem_x509_csr(request_pem.encode())
        key = request.public_key()
        is_signed = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise InvalidInput("certificate_request: this is no request for a certificate (PEM).") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not is_signed:
        raise InvalidInput("certificate_request: it must be signed with an EC key.")
    return key


def _all_below(name: str) -> str:
    return f"*.{domain_of(name)}"


def _subject(name: str, *, is_core: bool = False) -> x509.Name:
    unit = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, CORE)] if is_core else []
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), *unit])
