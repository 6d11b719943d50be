"""Pack a working directory into a content-addressed bundle: the same files always give the same digest.

A bundle is a plain tar file without compression: hashing runs at 1.8 GB/s where zlib's fastest level reaches 0.1 GB/s,
and what most programs hold that is large (weights, images) does not shrink. Its digest is the SHA-256 of the file.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from lepton_ai.errors import Conflict, InvalidInput, TooLarge
from lepton_ai.sdk.folder_listing import TAR_BLOCK, Entry, EntryKind, Skipped, list_folder, unreadable
from lepton_ai.types.quantity import format_bytes

MEMORY_BYTES_MAX = 16 * 1024 * 1024  # larger bundles go through a temporary file
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bundle:
    """A packed folder. Close it (or use `with`) to give back its temporary file."""

    digest: str  # "sha256:" and 64 hexadecimal digits
    size_bytes: int
    files: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    content: IO[bytes] = field(repr=False, compare=False)

    def chunks(self) -> Iterator[bytes]:
        """Yield the whole bundle from its beginning; may be called again, as a retried upload needs."""
        self.content.seek(0)
        while chunk := self.content.read(CHUNK_BYTES):
            yield chunk

    def close(self) -> None:
        self.content.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def pack(folder: Path | None, *, bytes_max: int, extra: Mapping[str, bytes] | None = None) -> Bundle:
    """Pack `folder` (None packs no folder) and the `extra` files, named by relative path.

    The content is read once and kept, so that a file that changes between hashing and sending cannot spoil the upload.
    Raises TooLarge above `bytes_max`, InvalidInput for what cannot be read, and Conflict if a file shrinks meanwhile.
    """
    added = extra or {}
    entries, skipped = (), ()  # type: tuple[Entry, ...], tuple[Skipped, ...]
    if folder is not None:
        listing = list_folder(folder, bytes_max=bytes_max)
        entries, skipped = listing.entries, listing.skipped
    taken = sorted({entry.path for entry in entries} & set(added))
    if taken:
        raise InvalidInput(f"{folder} already holds {taken[0]}, a name that is kept for Lepton AI.", hint="Rename it.")
    writer = _Writer(bytes_max)
    try:
        packed = _write_all(writer, str(folder), entries, added)
    except BaseException:
        writer.file.close()
        raise
    return Bundle(f"sha256:{writer.hash.hexdigest()}", writer.size_bytes, packed, skipped, writer.file)


class _Writer:
    """Hashes and keeps what is written, and refuses to go beyond the limit."""

    def __init__(self, bytes_max: int) -> None:
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES_MAX)  # noqa: SIM115
        self.hash = hashlib.sha256()
        self.size_bytes = 0
        self.bytes_max = bytes_max

    def write(self, block: bytes) -> None:
        self.size_bytes += len(block)
        if self.size_bytes > self.bytes_max:
            raise TooLarge(
                f"The bundle grew beyond {format_bytes(self.bytes_max)} while it was packed.",
                hint="Something writes into the folder: name its output in .leptonignore.",
            )
        self.hash.update(block)
        self.file.write(block)


def _write_all(writer: _Writer, root: str, entries: tuple[Entry, ...], extra: Mapping[str, bytes]) -> tuple[str, ...]:
    packed: list[str] = []
    for entry in entries:
        if entry.kind is EntryKind.FILE:
            if _write_file(writer, root, entry):
                packed.append(entry.path)
        else:
            writer.write(_header(entry, 0))
    for path in sorted(extra):
        writer.write(_header(Entry(path, EntryKind.FILE), len(extra[path])) + _padded(extra[path]))
        packed.append(path)
    writer.write(b"\0" * (2 * TAR_BLOCK))  # POSIX: two zero blocks end a tar file.
    return tuple(packed)


def _write_file(writer: _Writer, root: str, entry: Entry) -> bool:
    """Append one file; False if it was removed since the folder was listed."""
    try:
        descriptor = os.open(f"{root}/{entry.path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            first = file.read(CHUNK_BYTES) or b""
            if len(first) < CHUNK_BYTES:  # The whole of a small file: what was read is its size, whatever stat said.
                writer.write(_header(entry, len(first)) + _padded(first))
            else:
                _write_large(writer, entry, file, first)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable(entry.path, error) from error
    return True


def _write_large(writer: _Writer, entry: Entry, file: IO[bytes], first: bytes) -> None:
    size = max(os.fstat(file.fileno()).st_size, len(first))
    writer.write(_header(entry, size) + first)
    left = size - len(first)
    while left:
        chunk = file.read(min(left, CHUNK_BYTES))
        if not chunk:
            raise Conflict(f"{entry.path} became shorter while it was packed.", hint="Try again once it is written.")
        writer.write(chunk)
        left -= len(chunk)
    writer.write(b"\0" * (-size % TAR_BLOCK))


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % TAR_BLOCK)


_TYPES = {EntryKind.FILE: tarfile.REGTYPE, EntryKind.FOLDER: tarfile.DIRTYPE, EntryKind.LINK: tarfile.SYMTYPE}


def _header(entry: Entry, size: int) -> bytes:
    """Return the header blocks: owner and times are zero, and of the mode only the executable bit is kept."""
    member = tarfile.TarInfo(entry.path)
    member.type, member.linkname, member.size = _TYPES[entry.kind], entry.target, size
    member.mode = 0o755 if entry.is_executable or entry.kind is not EntryKind.FILE else 0o644
    return member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
