"""Seal and open secrets: AES-256-GCM under the state folder's key; the object's id is authenticated with it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lepton_ai.errors import StorageFailed

KEY_BYTES = 32
NONCE_BYTES = 12  # NIST SP 800-38D section 8.2: 96 random bits, safe for 2^32 seals under one key


class SecretBox:
    """Holds the key. The file is made on first use, readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        key = _load_or_make(path)
        self.fingerprint = _fingerprint(key)  # of the key: says which one it is and nothing about it
        self._cipher = AESGCM(key)

    def seal(self, plain: str, bound_to: str) -> str:
        """Return ciphertext as base64, which opens only together with the same `bound_to`."""
        nonce = os.urandom(NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, plain.encode(), bound_to.encode())).decode()

    def open(self, sealed: str, bound_to: str) -> str:
        """Return the plain text; raises StorageFailed if it was changed, moved or sealed under another key."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], bound_to.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise StorageFailed(
                f"The secret {bound_to!r} cannot be opened with this state folder's key.",
                hint="Put the right secret.key back, or set the secret anew.",
            ) from error


def fingerprint_of_key(path: Path) -> str:
    """Return the fingerprint of the key in that file, and nothing if there is no file; raises StorageFailed."""
    return SecretBox(path).fingerprint if path.exists() else ""


def _fingerprint(key: bytes) -> str:
    return hashlib.sha256(b"lepton-ai platform key\0" + key).hexdigest()


def _load_or_make(path: Path) -> bytes:
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise StorageFailed(
            f"The key {path} cannot be kept: {error.strerror}.",
            hint="Check the owner, the mode and the free space of its folder.",
        ) from error
    if len(key) != KEY_BYTES:
        raise StorageFailed(f"{path} is damaged: {len(key)} bytes, not {KEY_BYTES}.", hint="Restore it from a backup.")
    return key


def _make(path: Path) -> None:
    """Make a key that appears whole or not at all: a core that dies here leaves no empty key behind."""
    partial = path.with_name(f"{path.name}.new")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(os.urandom(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(partial, path)  # never over a key that somebody else has made
    partial.unlink()
