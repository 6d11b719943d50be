"""One bucket as its users hold it: put, get, list, open and delete objects by name."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lepton_ai.errors import IntegrityFailed, InvalidInput
from lepton_ai.sdk.bucket_access import BucketAccess
from lepton_ai.sdk.collection import Collection
from lepton_ai.sealing.header import SALT_BYTES, SEGMENT_LOG2, VERSION_BYTES
from lepton_ai.sealing.sealer import PART_BYTES, Sealer
from lepton_ai.sealing.segments import plain_size
from lepton_ai.types.bucket import Bucket

if TYPE_CHECKING:
    from lepton_ai.object_store.opening import StoredObject
    from lepton_ai.object_store.reading import Progress

Content = bytes | bytearray | memoryview | Path | BinaryIO


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """One object as the store lists it, unauthenticated. `size` is -1 for what cannot be a sealed object."""

    name: str
    size: int
    modified_at: datetime


class BucketHandle:
    """`lepton.bucket("name")`. Content is sealed and opened here; the platform hands out the keys and never sees it.

    Safe to share between threads.
    """

    def __init__(self, collection: Collection[Bucket], name: str) -> None:
        self.name = name
        self._access = BucketAccess(collection, name)

    def put(self, name: str, content: Content, *, progress: Progress | None = None) -> str:
        """Store an object in place of the one of that name, whole or not at all; return its version.

        `content` is bytes, a Path, or a file opened for reading bytes. What is larger than 8 MiB goes up in parts,
        four at once, and never lies in memory as a whole.
        """
        version = os.urandom(VERSION_BYTES)
        sealer = Sealer(self._access.data_key(), self._access.place(name), version=version, salt=os.urandom(SALT_BYTES))
        if isinstance(content, Path):
            try:
                with content.open("rb", buffering=0) as file:
                    self._put_file(name, file, sealer, progress)
            except OSError as error:
                raise InvalidInput(f"{content} cannot be read: {error.strerror or error}.") from error
        elif isinstance(content, bytes | bytearray | memoryview):
            if memoryview(content).nbytes <= PART_BYTES:
                self._access.store.put(name, sealer.seal(content))
                _tell(progress, memoryview(content).nbytes, memoryview(content).nbytes)
            else:
                size = memoryview(content).nbytes
                self._access.store.put(name, _told(_ahead(sealer.parts_of(content)), size, progress))
        else:
            self._put_file(name, content, sealer, progress)
        return version.hex()

    def get(self, name: str, *, version: str = "") -> bytes:
        """Return an object's content; raises NotFound, and Conflict if it is not the wanted `version` any more.

        Raises IntegrityFailed, and returns nothing, if it was changed in the store.
        """
        from lepton_ai.object_store.reading import read_whole

        return read_whole(self._access, name, version)

    def download(self, name: str, path: Path, *, progress: Progress | None = None) -> int:
        """Write an object's content to a file, which appears whole or not at all; return its size in bytes."""
        from lepton_ai.object_store.reading import read_to_file

        return read_to_file(self._access, name, path, progress)

    def open(self, name: str, *, version: str = "") -> io.BufferedReader:
        """Return an object as a file to read: seek in it as you like, only what you read is fetched."""
        from lepton_ai.object_store.reading import ObjectFile

        return io.BufferedReader(ObjectFile(self._access, name, version), buffer_size=1 << SEGMENT_LOG2)

    def list(self, prefix: str = "") -> Iterator[ObjectEntry]:
        """Yield the objects whose names begin with `prefix`."""
        return map(_entry, self._access.store.each(prefix))

    def list_folder(self, prefix: str = "") -> tuple[builtins.list[str], builtins.list[ObjectEntry]]:
        """Return the folders and the objects right under `prefix`, which is empty or ends with `/`."""
        folders, found = self._access.store.list_folder(prefix)
        return folders, [_entry(one) for one in found]

    def delete(self, *names: str) -> None:
        """Delete objects; those that are not there are no trouble. Raises Forbidden for those who may only read."""
        self._access.data_key()
        self._access.store.delete(names)

    def __repr__(self) -> str:
        return f"<bucket {self.name}>"

    def _put_file(self, name: str, file: BinaryIO | io.RawIOBase, sealer: Sealer, progress: Progress | None) -> None:
        """Send what fits into one part in one request, and the rest of a larger file in parts."""
        parts = sealer.parts(file)
        size = _size_of(file)
        if 0 <= size <= PART_BYTES:
            self._access.store.put(name, bytearray().join(parts))
            _tell(progress, size, size)
        else:
            self._access.store.put(name, _told(_ahead(parts), size, progress))


def _ahead(parts: Iterator[memoryview]) -> Iterator[memoryview]:
    """Yield parts of which the next is always being sealed already.

    In a thread of its own also because obstore must not be called, as the source of a copy between buckets does, from
    an iterator that obstore calls.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="seal") as pool:
        coming = pool.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = pool.submit(next, parts, None)
            yield part


def _told(parts: Iterator[memoryview], size: int, progress: Progress | None) -> Iterator[memoryview]:
    sent = 0
    for part in parts:
        yield part
        sent += len(part)
        _tell(progress, min(sent, size) if size >= 0 else sent, size)


def _tell(progress: Progress | None, done: int, size: int) -> None:
    if progress is not None:
        progress(done, size)


def _size_of(file: BinaryIO | io.RawIOBase) -> int:
    """Return how many bytes are left to read; -1 if nobody knows."""
    try:
        here = file.tell()
        end = file.seek(0, io.SEEK_END)
        file.seek(here)
    except (OSError, AttributeError):
        return -1
    return end - here


def _entry(found: StoredObject) -> ObjectEntry:
    try:
        size = plain_size(found.sealed_bytes, 1 << SEGMENT_LOG2)
    except IntegrityFailed:
        size = -1
    return ObjectEntry(found.name, size, found.modified_at)
