"""List what of a folder goes into a bundle, in an order that never varies, and refuse what is too large."""

from __future__ import annotations

import heapq
import os
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lepton_ai.errors import InvalidInput, TooLarge
from lepton_ai.sdk.ignore_rules import ALWAYS_LEFT_OUT, VENV_MARKER, IgnoreRules
from lepton_ai.types.quantity import format_bytes

# 200,000 entries are listed in 2 to 4 s; a tree beyond that is a home folder or a data set, not a program.
ENTRIES_MAX = 200_000
LARGEST_SHOWN = 10
DEPTH_MAX = 128
TAR_BLOCK = 512


class EntryKind(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to pack. `path` is relative with forward slashes; `target` is where a link points."""

    path: str
    kind: EntryKind
    size_bytes: int = 0
    is_executable: bool = False
    target: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that stays at home although no ignore file names it, and why."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class FolderListing:
    entries: tuple[Entry, ...]
    skipped: tuple[Skipped, ...]


def list_folder(folder: Path, *, bytes_max: int, entries_max: int = ENTRIES_MAX) -> FolderListing:
    """Return what to pack of `folder`.

    Ignored files, `.git`, `__pycache__` and virtual environments stay at home. Sockets, pipes, devices and links
    that leave the folder are skipped and named. Raises TooLarge above `bytes_max` or `entries_max`, and InvalidInput
    for what cannot be read.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder.", hint="Name the folder that holds your program.")
    walk = _Walk(str(folder), entries_max)
    walk.enter("", IgnoreRules(), 0)
    if walk.is_partial or walk.total_bytes > bytes_max:
        raise _too_large(folder, walk, bytes_max)
    return FolderListing(tuple(walk.entries), tuple(walk.skipped))


def link_stays_inside(path: str, target: str) -> bool:
    """Tell whether a link at `path` cannot lead out of the folder, whatever other such links are in it.

    `..` may only stand in front: a leading `..` climbs real folders, never through another link, so counting is proof.
    """
    parts = target.split("/")
    climbs = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    return not target.startswith("/") and climbs <= path.count("/") and ".." not in parts[climbs:]


@dataclass(slots=True)
class _Walk:
    """Depth first, names in byte order. Goes on above the byte limit, so that the refusal can name the largest."""

    root: str
    entries_max: int
    entries: list[Entry] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    total_bytes: int = 0
    seen: int = 0
    is_partial: bool = False

    def enter(self, base: str, rules: IgnoreRules, depth: int) -> None:
        directory = f"{self.root}/{base}".rstrip("/") or "/"
        found = self._scan(directory, base)
        if depth > DEPTH_MAX:
            raise InvalidInput(f"{base[:200]} lies more than {DEPTH_MAX} folders deep.", hint=_IGNORE_HINT)
        rules = rules.within(directory, base, frozenset(item.name for item in found))
        for item in found:
            if self.is_partial:
                return
            path = base + item.name
            is_folder = item.is_dir(follow_symlinks=False)
            if item.name in ALWAYS_LEFT_OUT or rules.leaves_out(path, is_folder=is_folder):
                continue
            if not is_folder:
                self._add(path, item)
            elif not os.path.lexists(f"{item.path}/{VENV_MARKER}"):
                self._count(Entry(path, EntryKind.FOLDER))
                self.enter(path + "/", rules, depth + 1)

    def _scan(self, directory: str, base: str) -> list[os.DirEntry[str]]:
        found: list[os.DirEntry[str]] = []
        try:
            with os.scandir(directory) as items:
                for item in items:
                    self.seen += 1
                    if self.seen > self.entries_max:
                        self.is_partial = True
                        break
                    found.append(item)
        except FileNotFoundError:
            return []  # Removed since its parent was listed: it is not there, so it is not packed.
        except OSError as error:
            raise unreadable(base.rstrip("/") or directory, error) from error
        return sorted(found, key=lambda item: os.fsencode(item.name))

    def _add(self, path: str, item: os.DirEntry[str]) -> None:
        try:
            seen = item.stat(follow_symlinks=False)
            target = os.readlink(item.path) if stat.S_ISLNK(seen.st_mode) else ""
        except FileNotFoundError:
            return
        except OSError as error:
            raise unreadable(path, error) from error
        if stat.S_ISREG(seen.st_mode):
            self._count(Entry(path, EntryKind.FILE, seen.st_size, bool(seen.st_mode & stat.S_IXUSR)))
        elif not stat.S_ISLNK(seen.st_mode):
            self.skipped.append(Skipped(path, "is a socket, a pipe or a device"))
        elif link_stays_inside(path, target):
            self._count(Entry(path, EntryKind.LINK, target=target))
        else:
            self.skipped.append(Skipped(path, f"is a link that leaves the folder: {target}"))

    def _count(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.total_bytes += TAR_BLOCK + -(-entry.size_bytes // TAR_BLOCK) * TAR_BLOCK


_IGNORE_HINT = "Name what the program does not need in .leptonignore (written as .gitignore is); keep data in a bucket."


def unreadable(path: str, error: OSError) -> InvalidInput:
    """Return the refusal for a file that is there but cannot be read: a program must not lose a file in silence."""
    return InvalidInput(
        f"{path} cannot be read: {error.strerror or error}.", hint="Make it readable, or name it in .leptonignore."
    )


def _too_large(folder: Path, walk: _Walk, bytes_max: int) -> TooLarge:
    files = [entry for entry in walk.entries if entry.kind is EntryKind.FILE]
    largest = heapq.nlargest(LARGEST_SHOWN, files, key=lambda entry: entry.size_bytes)
    lines = [f"\n  {format_bytes(entry.size_bytes):>8}  {entry.path}" for entry in largest]
    if walk.is_partial:
        fact = (
            f"{folder} holds more than {walk.entries_max:,} files and folders, {format_bytes(walk.total_bytes)} so far"
        )
    else:
        fact = f"{folder} packs to {format_bytes(walk.total_bytes)} in {len(files):,} files"
    limit = f"a bundle may hold {format_bytes(bytes_max)} in {walk.entries_max:,} entries"
    return TooLarge(f"{fact}; {limit}. The largest files:{''.join(lines)}\n", hint=_IGNORE_HINT)
