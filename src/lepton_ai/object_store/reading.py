"""Reads objects of a bucket: whole, into a file, or as a file of which only what is asked for is fetched."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lepton_ai.errors import Conflict, InvalidInput, StorageFailed
from lepton_ai.sealing.header import HEADER_BYTES, Place, read_header
from lepton_ai.sealing.opener import Opener, Span
from lepton_ai.sealing.sealer import PART_BYTES

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from lepton_ai.object_store.opening import OpenStore, StoredObject

RANGES_AT_ONCE = 4  # 4 x (8 MiB sealed + 8 MiB plain) in memory at most
FIRST_BYTES = HEADER_BYTES + PART_BYTES + 8 * 16  # most objects come whole with the first request
AHEAD_BYTES = PART_BYTES  # fetched at once by whoever reads on; a jump fetches what it asks for

Progress = Callable[[int, int], None]  # bytes so far, bytes in all


class BucketAccess(Protocol):
    """What a reader of one bucket needs: a client has asked the core for it, the core has it at hand."""

    @property
    def store(self) -> OpenStore:
        """The open store of the bucket."""

    def place(self, name: str) -> Place:
        """Return what an object of that name is bound to."""

    def plain_key(self, wrapped: bytes, name: str) -> bytes:
        """Return the data key that an object's header carries; raises IntegrityFailed if it is not the bucket's."""


class Found(NamedTuple):
    """An object whose header was checked. `first` is what was fetched of it already, header included."""

    about: StoredObject
    opener: Opener
    version: str
    first: memoryview


def find(access: BucketAccess, name: str, *, version: str = "", bytes_max: int = FIRST_BYTES) -> Found:
    """Fetch the start of an object and check its header; raises NotFound, IntegrityFailed, and Conflict for another
    `version` than the one that was asked for."""
    fetched = access.store.get_first(name, bytes_max)
    header = read_header(bytes(fetched.content[:HEADER_BYTES]))
    key = access.plain_key(header.wrapped, name)
    opener = Opener(header, key, access.place(name), fetched.about.sealed_bytes)
    found = header.version.hex()
    if version and version != found:
        raise Conflict(f"The object {name!r} has version {found}, not {version}.", hint="See: lepton storage ls")
    return Found(fetched.about, opener, found, fetched.content)


def read_whole(access: BucketAccess, name: str, version: str) -> bytes:
    """Return the content of an object; large ones come in several ranges at once."""
    found = find(access, name, version=version)
    if not found.opener.size:
        _each_span(
            access, found, lambda span, sealed: found.opener.open_into(span, sealed, memoryview(bytearray())), None
        )
        return b""
    # BytesIO gives its bytes away without a copy, which would cost a fifth of the time for large objects.
    content = io.BytesIO()
    content.seek(found.opener.size - 1)
    content.write(b"\0")
    with content.getbuffer() as out:

        def place(span: Span, sealed: memoryview) -> int:
            with out[found.opener.span_start(span) :] as rest:
                return found.opener.open_into(span, sealed, rest)

        _each_span(access, found, place, None)
    return content.getvalue()


def read_to_file(access: BucketAccess, name: str, path: Path, progress: Progress | None) -> int:
    """Write the content of an object to a file, which appears whole or not at all; return its size."""
    found = find(access, name)
    partial = path.with_name(f".{path.name}.{found.version[:16]}.part")

    def place(span: Span, sealed: memoryview) -> int:
        plain = memoryview(bytearray(found.opener.content_size(span)))
        size = found.opener.open_into(span, sealed, plain)
        os.pwrite(file.fileno(), plain, found.opener.span_start(span))
        return size

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                _each_span(access, found, place, progress)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise StorageFailed(f"{path} cannot be written: {error.strerror or error}.", hint="Free some space.") from error
    return found.opener.size


def _each_span(
    access: BucketAccess, found: Found, place: Callable[[Span, memoryview], int], progress: Progress | None
) -> None:
    """Fetch and place the whole object, span by span, several at once."""
    opener, done = found.opener, 0

    def fetch(span: Span) -> int:
        if span.end_byte <= len(found.first):
            return place(span, found.first[span.start_byte : span.end_byte])
        return place(span, access.store.get_range(found.about, span.start_byte, span.end_byte))

    spans = list(opener.spans(PART_BYTES))
    if len(spans) == 1:
        sizes = map(fetch, spans)
        done += sum(sizes)
        if progress:
            progress(done, opener.size)
        return
    with ThreadPoolExecutor(RANGES_AT_ONCE, thread_name_prefix="read") as pool:
        try:
            for size in pool.map(fetch, spans):
                done += size
                if progress:
                    progress(done, opener.size)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class ObjectFile(io.RawIOBase):
    """An object as a file to read: seekable, and only the segments that are read are fetched and opened."""

    def __init__(self, access: BucketAccess, name: str, version: str = "") -> None:
        """Raise NotFound or IntegrityFailed: where the object ends is authenticated here, by its last segment."""
        self._access = access
        self._found = find(access, name, version=version, bytes_max=HEADER_BYTES)
        self._opener = self._found.opener
        self._position = 0
        self._at, self._plain = 0, memoryview(b"")
        self._load(self._opener.last)
        self.name = name
        self.version = self._found.version
        self.size = self._opener.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise InvalidInput(f"{base + offset} lies before the start of the object {self.name!r}.")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        out = memoryview(buffer).cast("B")
        end = min(self._position + len(out), self.size)
        if self._position >= end:
            return 0
        if not self._at <= self._position < self._at + len(self._plain):
            reads_on = self._position == self._at + len(self._plain) and self._at > 0
            beyond = max(end, self._position + AHEAD_BYTES) if reads_on or self._position == 0 else end
            self._load(self._opener.span(self._position, min(beyond, self.size, self._position + AHEAD_BYTES)))
        offset = self._position - self._at
        size = min(len(out), len(self._plain) - offset, end - self._position)
        out[:size] = self._plain[offset : offset + size]
        self._position += size
        return size

    def _load(self, span: Span) -> None:
        sealed = self._access.store.get_range(self._found.about, span.start_byte, span.end_byte)
        plain = memoryview(bytearray(self._opener.content_size(span)))
        self._opener.open_into(span, sealed, plain)
        self._at, self._plain = self._opener.span_start(span), plain
