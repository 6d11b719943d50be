"""The node's cache of unpacked bundles: each is unpacked once, and every replica gets a copy of its own."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lepton_ai.errors import StorageFailed
from lepton_ai.node.copy_tree import copy_tree
from lepton_ai.node.file_lock import locked
from lepton_ai.node.unpack import unpack
from lepton_ai.types.quantity import format_bytes

CACHE_BYTES_MAX = 8 * 1024**3  # 16 bundles of the largest size that settings allow by default
_TREE = "tree"
_SIZE = "bytes"  # its modification time is when the bundle was last used
_PARTIAL = ".partial-"


class BundleCache:
    """Unpacked bundles under `folder`, at most `bytes_max` of them beside those in use; the least recently used go.

    `open_blob` gives the packed bundle of a digest. Safe for any number of threads and processes.
    """

    def __init__(self, folder: Path, open_blob: Callable[[str], BinaryIO], *, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._folder = folder
        self._open_blob = open_blob
        self._bytes_max = bytes_max
        with _translated(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._remove_leftovers()

    def copy_into(self, digest: str, target: Path) -> None:
        """Put the content of the bundle into `target`. Safe to repeat.

        Raises InvalidInput for a bundle that must not be unpacked, what `open_blob` raises, and StorageFailed.
        """
        name = digest.removeprefix("sha256:")
        with _translated(target):
            if self._copy_if_there(name, target):
                return
            with locked(self._lock(name)):
                if not self._is_there(name):
                    self._unpack(digest, name)
                    self._evict(keep=name)
                self._copy(name, target)

    def names(self) -> tuple[str, ...]:
        """Return the hexadecimal digests that are unpacked now, the least recently used first."""
        entries = [path for path in self._folder.iterdir() if path.is_dir() and _PARTIAL not in path.name]
        return tuple(path.name for path in sorted(entries, key=_last_use))

    def _copy_if_there(self, name: str, target: Path) -> bool:
        if not self._is_there(name):
            return False
        with locked(self._lock(name), shared=True):
            if not self._is_there(name):
                return False
            self._copy(name, target)
            return True

    def _copy(self, name: str, target: Path) -> None:
        os.utime(self._folder / name / _SIZE)
        copy_tree(self._folder / name / _TREE, target)

    def _unpack(self, digest: str, name: str) -> None:
        partial = self._folder / f"{name}{_PARTIAL}{secrets.token_hex(4)}"
        try:
            (partial / _TREE).mkdir(parents=True)
            with self._open_blob(digest) as file:
                size = unpack(file, partial / _TREE)
            (partial / _SIZE).write_text(str(size))
            partial.rename(self._folder / name)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _evict(self, *, keep: str) -> None:
        """Remove the least recently used bundles until the rest fits; one that is being copied is left alone."""
        names = self.names()
        sizes = {name: _size_bytes(self._folder / name) for name in names}
        total = sum(sizes.values())
        for name in names:
            if total <= self._bytes_max:
                return
            if name != keep and self._remove(name):
                total -= sizes[name]

    def _remove(self, name: str) -> bool:
        with locked(self._lock(name), wait=False) as held:
            if held is None:
                return False
            doomed = self._folder / f"{name}{_PARTIAL}{secrets.token_hex(4)}"
            if self._is_there(name):
                (self._folder / name).rename(doomed)  # Vanishes at once, whatever happens during the removal.
            shutil.rmtree(doomed, ignore_errors=True)
            self._lock(name).unlink(missing_ok=True)
            return True

    def _remove_leftovers(self) -> None:
        """Remove what a killed process left half-unpacked; one that is still at work holds the lock."""
        for path in self._folder.glob(f"*{_PARTIAL}*"):
            with locked(self._lock(path.name.partition(_PARTIAL)[0]), wait=False) as held:
                if held is not None:
                    shutil.rmtree(path, ignore_errors=True)

    def _is_there(self, name: str) -> bool:
        return (self._folder / name / _SIZE).exists()

    def _lock(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


def _last_use(entry: Path) -> int:
    try:
        return (entry / _SIZE).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _size_bytes(entry: Path) -> int:
    try:
        return int((entry / _SIZE).read_text() or "0")
    except (FileNotFoundError, ValueError):
        return 0


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or path
        free = format_bytes(shutil.disk_usage(next(p for p in path.parents if p.exists())).free)
        raise StorageFailed(
            f"The working directory cannot be written at {where}: {error.strerror or error}; {free} are free there.",
            hint="Free some space on the node or mend the folder's permissions.",
        ) from error
