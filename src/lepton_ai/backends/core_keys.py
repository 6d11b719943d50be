"""The keys of a platform in one sealed file, so that a further core can be given them over any way.

The file is worth nothing without the key that seals it, which is made for it and shown once. Both together are the
platform: its secrets, its authority and its administrator.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lepton_ai.backends.certificates import write_whole
from lepton_ai.errors import Conflict, InvalidInput, NotFound, StorageFailed

MAGIC = b"LEPTON-CORE-KEYS 1\n"
KEY_PREFIX = "lepton_core_"
NONCE_BYTES = 12
KEY_BYTES = 32
FILE_BYTES_MAX = 64 * 1024  # four small files
# The authority's certificate comes last: with it there, all is there.
FILES: Mapping[str, int] = {"secret.key": 0o600, "admin.token": 0o600, "tls/ca.key": 0o600, "tls/ca.pem": 0o644}


def export_keys(home: Path, target: Path) -> str:
    """Write the keys of the core in `home` to a new file and return the key that opens it.

    Raises NotFound if there never was a core, Conflict for a file that is there, StorageFailed.
    """
    try:
        content = {name: base64.b64encode((home / name).read_bytes()).decode() for name in FILES}
    except FileNotFoundError as error:
        raise NotFound(
            f"{home} does not hold the keys of a platform: there is no {Path(error.filename).name}.",
            hint="Start the first core there: lepton up",
        ) from error
    except OSError as error:
        raise _refused(Path(error.filename or home), error) from error
    key, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
    sealed = MAGIC + nonce + AESGCM(key).encrypt(nonce, json.dumps(content).encode(), MAGIC)
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(sealed)
    except FileExistsError as error:
        raise Conflict(f"{target} is there already.", hint="Name another file.") from error
    except OSError as error:
        raise _refused(target, error) from error
    return KEY_PREFIX + base64.urlsafe_b64encode(key).decode().rstrip("=")


def import_keys(home: Path, source: Path, key: str) -> None:
    """Put the keys in `source` into `home`, which may hold none or the same.

    Raises InvalidInput for a wrong key or file, Conflict where other keys are, StorageFailed.
    """
    content = _open(source, key)
    try:
        for name, held in content.items():
            if (home / name).exists() and (home / name).read_bytes() != held:
                raise Conflict(
                    f"{home} holds keys of its own: {name} is another one.",
                    hint="Take an empty state folder for a further core: LEPTON_HOME=DIR lepton core import FILE",
                )
        for name, mode in FILES.items():
            (home / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(home / name, content[name], mode=mode)
    except OSError as error:
        raise _refused(home, error) from error


def _open(source: Path, key: str) -> Mapping[str, bytes]:
    try:
        with source.open("rb") as file:
            sealed = file.read(FILE_BYTES_MAX)
        raw_key = base64.urlsafe_b64decode(key.removeprefix(KEY_PREFIX) + "=")
        if not sealed.startswith(MAGIC) or not key.startswith(KEY_PREFIX) or len(raw_key) != KEY_BYTES:
            raise ValueError
        nonce, body = sealed[len(MAGIC) :][:NONCE_BYTES], sealed[len(MAGIC) + NONCE_BYTES :]
        found = json.loads(AESGCM(raw_key).decrypt(nonce, body, MAGIC))
        return {name: base64.b64decode(found[name]) for name in FILES}
    except (InvalidTag, ValueError, KeyError) as error:
        raise InvalidInput(
            f"{source} cannot be opened with that key.",
            hint="Both come from one `lepton core export`: the file, and the key that it printed.",
        ) from error
    except OSError as error:
        raise _refused(source, error) from error


def _refused(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(f"{path} cannot be used: {error.strerror or error}.", hint="Check its owner and mode.")
