"""The first 160 bytes of a sealed object: which key it takes, and a commitment to that key and to where it lies."""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lepton_ai.errors import IntegrityFailed

MAGIC = b"LEPTON"
FORMAT = 1
SUITE = 1  # HKDF-SHA256 (RFC 5869), AES-256-GCM (NIST SP 800-38D)
HEADER_BYTES = 160
KEY_BYTES = 32
SALT_BYTES = 32
VERSION_BYTES = 16
WRAPPED_BYTES = 64  # version of the project's key 4, nonce 12, key 32, tag 16
SEGMENT_LOG2 = 20  # 1 MiB: the cipher is fastest there, and a read of one byte costs no more than that
SEGMENT_LOG2_MIN = 12
SEGMENT_LOG2_MAX = 24  # 16 MiB: no header makes a reader take more memory than that
_PREFIX = struct.Struct(">6sBBB7s")
_LAYOUT = struct.Struct(f">16s{VERSION_BYTES}s{SALT_BYTES}s{KEY_BYTES}s{WRAPPED_BYTES}s")
_LABEL = b"lepton-ai sealed object"
assert _LAYOUT.size == HEADER_BYTES


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object lies: ids of its project and bucket, which are never given twice, and its name."""

    project_id: str
    bucket_id: str
    name: str

    def encoded(self) -> bytes:
        """Return bytes that no two places share: each text with its length in front."""
        texts = [text.encode() for text in (self.project_id, self.bucket_id, self.name)]
        return b"".join(struct.pack(">I", len(text)) + text for text in texts)


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key that the platform handed out: plain for use, and wrapped for the header of what is sealed with it."""

    wrapped: bytes
    plain: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """What is derived for one version of one object alone: the cipher's key, and a commitment that may be shown."""

    cipher: bytes = field(repr=False)
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says. Nothing of it is to be believed before `object_key` has checked it."""

    version: bytes
    salt: bytes
    wrapped: bytes
    commitment: bytes
    segment_log2: int = SEGMENT_LOG2

    @property
    def segment_bytes(self) -> int:
        return 1 << self.segment_log2

    def pack(self) -> bytes:
        """Return the header as it is stored."""
        return _LAYOUT.pack(_prefix(self.segment_log2), self.version, self.salt, self.commitment, self.wrapped)

    def object_key(self, data_key: bytes, place: Place) -> ObjectKey:
        """Return the object's own key; raises IntegrityFailed if this was not sealed with that key for that place."""
        found = derive(data_key, place, self.version, self.salt, self.segment_log2)
        if not hmac.compare_digest(found.commitment, self.commitment):
            raise IntegrityFailed(
                f"The object {place.name!r} is not what was stored under this name: it was changed or moved.",
                hint="Restore it from a copy, and find out who can write to the store.",
            )
        return found


def new_header(data_key: DataKey, place: Place, version: bytes, salt: bytes, segment_log2: int) -> Header:
    """Return the header of a new object. `version` and `salt` are random and must never be used again."""
    key = derive(data_key.plain, place, version, salt, segment_log2)
    return Header(version, salt, data_key.wrapped, key.commitment, segment_log2)


def read_header(raw: bytes) -> Header:
    """Return what the first bytes of an object say; raises IntegrityFailed if that is no header of this format."""
    if len(raw) < HEADER_BYTES:
        raise _not_sealed(f"it has {len(raw)} bytes, and a header has {HEADER_BYTES}")
    prefix, version, salt, commitment, wrapped = _LAYOUT.unpack(bytes(raw[:HEADER_BYTES]))
    magic, format_, suite, segment_log2, _ = _PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise _not_sealed("it does not begin as sealed objects do")
    if format_ != FORMAT or suite != SUITE:
        raise _not_sealed(f"it has format {format_}.{suite}, and this version reads {FORMAT}.{SUITE}")
    if not SEGMENT_LOG2_MIN <= segment_log2 <= SEGMENT_LOG2_MAX or prefix != _prefix(segment_log2):
        raise _not_sealed("its header is damaged")
    return Header(version, salt, wrapped, commitment, segment_log2)


def derive(data_key: bytes, place: Place, version: bytes, salt: bytes, segment_log2: int) -> ObjectKey:
    """Return the key and commitment of one version of one object (HKDF, RFC 5869).

    Both come from one derivation, whose output for two different inputs is the same only if SHA-256 collides: so
    nobody can make a header that opens under two keys, which AES-GCM alone would allow.
    """
    info = _LABEL + _prefix(segment_log2) + version + place.encoded()
    made = HKDF(algorithm=SHA256(), length=2 * KEY_BYTES, salt=salt, info=info).derive(data_key)
    return ObjectKey(made[:KEY_BYTES], made[KEY_BYTES:])


def _prefix(segment_log2: int) -> bytes:
    return _PREFIX.pack(MAGIC, FORMAT, SUITE, segment_log2, bytes(7))


def _not_sealed(why: str) -> IntegrityFailed:
    return IntegrityFailed(
        f"This is no sealed object: {why}.", hint="It was written past the platform, or damaged: restore it."
    )
