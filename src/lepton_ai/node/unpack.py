"""Unpack a bundle that a stranger may have made: nothing is written outside the target, nothing grows on the way.

The standard library's `tarfile` data filter was turned down: Python releases up to 3.11.12 let crafted links escape it
(CVE-2025-4517), and it reads extended headers of any size into memory. A bundle needs three kinds of member only.
"""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from lepton_ai.errors import InvalidInput

BLOCK = tarfile.BLOCKSIZE
CHUNK_BYTES = 1024 * 1024
MEMBERS_MAX = 200_000  # what packing allows
PATH_BYTES_MAX = 4096  # PATH_MAX on Linux
NAME_BYTES_MAX = 255  # NAME_MAX on Linux
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_REFUSED = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
    tarfile.XHDTYPE: "an extended (pax) header",
    tarfile.XGLTYPE: "an extended (pax) header",
}


def unpack(file: BinaryIO, target: Path) -> int:
    """Unpack the plain tar `file` into the empty folder `target` and return the bytes of content written.

    Content cannot exceed the archive itself, since compression and sparse members are refused. Links are made last, so
    that no file is ever written through one. Raises InvalidInput naming the member, and OSError if the disk refuses.
    """
    job = _Unpacking(file, str(target))
    while member := job.next_member():
        job.take(member)
    job.make_links()
    return job.content_bytes


@dataclass(slots=True)
class _Unpacking:
    file: BinaryIO
    root: str
    content_bytes: int = 0
    members: int = 0
    links: list[tuple[str, str]] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)

    def next_member(self) -> tarfile.TarInfo | None:
        """Return the next file, folder or link with its full name, or None at the end."""
        long: dict[bytes, str] = {}
        while True:
            block = self._read(BLOCK)
            if not block.strip(b"\0"):
                return None
            try:
                member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.HeaderError as error:
                raise InvalidInput(
                    f"The bundle is not a plain tar file: {error}.", hint="Send it without compression."
                ) from error
            if member.size < 0:
                raise _refused(member.name[:200], "claims a negative size")
            if member.type not in _LONG:
                member.name = long.get(tarfile.GNUTYPE_LONGNAME, member.name)
                member.linkname = long.get(tarfile.GNUTYPE_LONGLINK, member.linkname)
                return member
            long[member.type] = self._long_name(member)

    def take(self, member: tarfile.TarInfo) -> None:
        """Write one file or folder; remember a link for later."""
        self.members += 1
        if self.members > MEMBERS_MAX:
            raise _refused("the bundle", f"holds more than {MEMBERS_MAX:,} entries")
        path = _checked_path(member.name)
        if not path:
            return  # "./", which `tar -c .` writes first
        try:
            if member.type in _FILES:
                self._write_file(path, member)
            elif member.type == tarfile.DIRTYPE:
                self._make_folder(path)
            elif member.type == tarfile.SYMTYPE:
                self.links.append((path, member.linkname))
            else:
                raise _refused(path, f"is {_REFUSED.get(member.type, 'of an unknown kind')}")
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise _refused(path, "occurs twice, or lies inside a file") from error

    def make_links(self) -> None:
        for path, target in self.links:
            if not _link_stays_inside(path, target):
                raise _refused(path, f"is a link that leaves the folder: {target[:200]}")
            self._make_folder(path.rpartition("/")[0])
        for path, target in self.links:
            try:
                os.symlink(target, f"{self.root}/{path}")
            except FileExistsError as error:
                raise _refused(path, "occurs twice") from error

    def _write_file(self, path: str, member: tarfile.TarInfo) -> None:
        self._make_folder(path.rpartition("/")[0])
        mode = 0o755 if member.mode & 0o100 else 0o644
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(f"{self.root}/{path}", flags, mode), "wb", buffering=0) as out:
            left = member.size
            while left > 0:
                chunk = self._read(min(left, CHUNK_BYTES))
                _write_whole(out.fileno(), chunk)
                left -= len(chunk)
        self._read(-member.size % BLOCK)
        self.content_bytes += member.size

    def _make_folder(self, path: str) -> None:
        if path and path not in self.folders:
            os.makedirs(f"{self.root}/{path}", mode=0o755, exist_ok=True)
            self.folders.add(path)

    def _long_name(self, member: tarfile.TarInfo) -> str:
        if not 0 < member.size <= PATH_BYTES_MAX:
            raise _refused("a name", f"of {member.size:,} bytes is longer than {PATH_BYTES_MAX:,}")
        content = self._read(-(-member.size // BLOCK) * BLOCK)[: member.size]
        return content.rstrip(b"\0").decode("utf-8", "surrogateescape")

    def _read(self, size: int) -> bytes:
        content = self.file.read(size)
        if len(content) < size:
            raise _refused("the bundle", "ends in the middle of a member")
        return content


def _checked_path(name: str) -> str:
    """Return the name without needless parts; raises InvalidInput for one that could lead out of the target."""
    raw = os.fsencode(name)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise _refused(name[:200], "leaves the folder")
    if "\0" in name or len(raw) > PATH_BYTES_MAX or any(len(os.fsencode(part)) > NAME_BYTES_MAX for part in parts):
        raise _refused(name[:200], "is not a possible file name")
    return "/".join(parts)


def _link_stays_inside(path: str, target: str) -> bool:
    """The rule that packing keeps too: `..` only in front, and no more of them than real folders above the link.

    Then a link climbs real folders alone and never through another link, so no chain of them leads out.
    """
    parts = target.split("/")
    climbs = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    is_relative = bool(target) and "\0" not in target and not target.startswith("/")
    return is_relative and climbs <= path.count("/") and ".." not in parts[climbs:]


def _write_whole(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _refused(what: str, why: str) -> InvalidInput:
    return InvalidInput(f"The bundle cannot be unpacked: {what} {why}.", hint="Pack it with `lepton run` or the SDK.")
