"""The content-addressed store of the core: each blob is one file, named by the SHA-256 of its content."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lepton_ai.errors import InvalidInput, NotFound, StorageFailed, TooLarge
from lepton_ai.types.quantity import format_bytes

DIGEST_PATTERN = re.compile(r"sha256:[0-9a-f]{64}")
INCOMING = "incoming"


def check_digest(digest: str) -> str:
    """Return `digest` if it is one; raises InvalidInput, so that no name can lead out of the store."""
    if not DIGEST_PATTERN.fullmatch(digest):
        raise InvalidInput(
            f"{digest[:100]!r} is not a digest.", hint="A digest is `sha256:` and 64 small hexadecimal digits."
        )
    return digest


class BlobWriter:
    """Takes one blob piece by piece; `commit` makes it visible if the content is what the digest says."""

    def __init__(self, file: BinaryIO, path: Path, digest: str, bytes_max: int) -> None:
        self._file = file
        self._path = path
        self._digest = digest
        self._bytes_max = bytes_max
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Append; raises TooLarge above the limit before anything of `chunk` is written."""
        self.size_bytes += len(chunk)
        if self.size_bytes > self._bytes_max:
            raise TooLarge(
                f"The blob is larger than {format_bytes(self._bytes_max)}.",
                hint="Leave large files out of the working directory and keep them in a bucket.",
            )
        self._hash.update(chunk)
        with _translated(self._path):
            self._file.write(chunk)

    def check(self) -> None:
        """Raise InvalidInput unless what was written has the promised digest."""
        found = f"sha256:{self._hash.hexdigest()}"
        if found != self._digest:
            raise InvalidInput(
                f"{self.size_bytes:,} bytes arrived with the digest {found}, not {self._digest}.",
                hint="The upload was cut or altered on its way; send it again.",
            )


class BlobStore:
    """Keeps blobs under `folder`. Safe for any number of threads and processes; the same blob may arrive twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / INCOMING
        with _translated(folder):
            self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._remove_leftovers()

    def path(self, digest: str) -> Path:
        """Return where the blob is or would be."""
        name = check_digest(digest).removeprefix("sha256:")
        return self._folder / name[:2] / name

    def has(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def open(self, digest: str) -> BinaryIO:
        """Open the blob for reading; raises NotFound with the next step."""
        path = self.path(digest)
        try:
            return path.open("rb")
        except FileNotFoundError:
            raise NotFound(
                f"The blob {digest} is not stored here.", hint="Send it again: `lepton run` does so by itself."
            ) from None
        except OSError as error:
            raise _storage_failed(path, error) from error

    def put(self, digest: str, chunks: Iterable[bytes], *, bytes_max: int) -> int:
        """Store the blob and return its size; a blob that is already here is not read again."""
        if self.has(digest):
            return self.path(digest).stat().st_size
        with self.receive(digest, bytes_max=bytes_max) as writer:
            for chunk in chunks:
                writer.write(chunk)
        return writer.size_bytes

    @contextmanager
    def receive(self, digest: str, *, bytes_max: int) -> Iterator[BlobWriter]:
        """Give a writer; on leaving, the blob is checked, flushed to disk and made visible, or nothing is left of it.

        Raises InvalidInput for a wrong digest, TooLarge, and StorageFailed when the disk refuses.
        """
        target = self.path(digest)
        partial = self._incoming / f"{target.name}.{secrets.token_hex(8)}"
        with _translated(partial):
            file = os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
        try:
            with _translated(partial):
                fcntl.flock(file, fcntl.LOCK_EX)  # Tells `_remove_leftovers` that a live process writes this.
            writer = BlobWriter(file, partial, digest, bytes_max)
            yield writer
            writer.check()
            with _translated(partial):
                file.flush()
                os.fsync(file.fileno())
                _publish(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            with contextlib.suppress(OSError):  # After a full disk, closing tries to flush once more and fails too.
                file.close()

    def delete(self, digest: str) -> None:
        """Remove the blob; one that is not here is no trouble."""
        path = self.path(digest)
        with _translated(path):
            path.unlink(missing_ok=True)

    def digests(self) -> Iterator[str]:
        """Yield every blob that is stored, in no order."""
        for path in self._folder.glob("??/*"):
            if DIGEST_PATTERN.fullmatch(f"sha256:{path.name}"):
                yield f"sha256:{path.name}"

    def _remove_leftovers(self) -> None:
        """Remove what a killed process left half-written; a file that somebody still writes is locked."""
        for path in self._incoming.iterdir():
            with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def _publish(partial: Path, target: Path) -> None:
    """Rename into place, durably: a digest that was acknowledged must be there after a power cut."""
    target.parent.mkdir(exist_ok=True, mode=0o700)
    partial.replace(target)
    for folder in (target.parent, target.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _storage_failed(path, error) from error


def _storage_failed(path: Path, error: OSError) -> StorageFailed:
    try:
        existing = next(folder for folder in (path, *path.parents) if folder.exists())
        free = f"{format_bytes(shutil.disk_usage(existing).free)} are free there"
    except OSError:
        free = "the free space there is not known"
    return StorageFailed(
        f"{path} cannot be written or read: {error.strerror or error}; {free}.",
        hint="Free some space or mend the folder's permissions; nothing half-written was kept.",
    )
