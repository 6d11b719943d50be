"""The node's cache of virtual environments: one for each distinct set of requirements, built once and shared."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from lepton_ai.errors import LeptonError, StorageFailed, by_code
from lepton_ai.node.file_lock import locked
from lepton_ai.node.installer import Installer
from lepton_ai.node.requirements import parse_requirements

ENVIRONMENTS_MAX = 32
CACHE_BYTES_MAX = 60 * 1024**3  # A dozen environments with torch and CUDA take 5 GB each.
FAILURES_MAX = 100  # logs of sets that could not be installed, a few kB each
IDLE_SECONDS_MIN = 600  # A replica that was just told its environment gets this long to start its process.
_READY = "lepton-ready.json"  # its modification time is when the environment was last used


@dataclass(frozen=True, slots=True)
class Built:
    """One environment that is ready."""

    root: Path
    size_bytes: int
    last_use_ns: int


class EnvironmentCache:
    """Environments under `folder`. Safe for any number of threads and processes of one machine.

    They are built where they stay, because a virtual environment cannot be moved; a marker written last tells a
    whole one from one whose builder was killed.
    """

    def __init__(self, folder: Path, *, count_max: int = ENVIRONMENTS_MAX, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._folder = folder
        self._count_max = count_max
        self._bytes_max = bytes_max

    def ensure(self, requirements: Sequence[str], *, on_progress: Callable[[str], None]) -> Path:
        """Return the root of the environment with `requirements`, building it if it is not there.

        Raises InvalidInput for a requirement that is not one or cannot be installed, Unavailable if the package index
        cannot be reached, and StorageFailed. Who waited for a build that failed gets its error, not a second try.
        """
        wanted = parse_requirements(requirements)
        key = _key(wanted)
        root = self._folder / key
        with _translated(root):
            if self._touch(root):
                return root
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            failure = self._folder / f"{key}.failed"
            failed_before = _modified(failure)
            on_progress("Waiting for the virtual environment.")
            with locked(self._folder / f"{key}.lock") as lock:
                if self._touch(root):
                    return root
                if _modified(failure) != failed_before:
                    raise _read_failure(failure)
                self._build(root, wanted, Installer(root, on_progress, lock))
            self._evict(keep=root)
        return root

    def built(self) -> tuple[Built, ...]:
        """Return the environments that are ready, the least recently used first."""
        found = [_read_built(path.parent) for path in self._folder.glob(f"*/{_READY}")]
        return tuple(sorted((built for built in found if built), key=lambda built: built.last_use_ns))

    def _touch(self, root: Path) -> bool:
        try:
            os.utime(root / _READY)
        except FileNotFoundError:
            return False
        return True

    def _build(self, root: Path, wanted: Sequence[str], installer: Installer) -> None:
        failure = root.with_suffix(".failed")
        shutil.rmtree(root, ignore_errors=True)
        try:
            root.mkdir(mode=0o700)
            installer.install(wanted)
            (root / _READY).write_text(json.dumps({"requirements": wanted, "size_bytes": _tree_bytes(root)}))
        except BaseException as error:
            if isinstance(error, LeptonError):
                failure.write_text(json.dumps([error.code, error.message, error.hint]))
            if installer.log_path.exists():
                installer.log_path.replace(root.with_suffix(".log"))
            shutil.rmtree(root, ignore_errors=True)
            self._forget_old_failures()
            raise
        failure.unlink(missing_ok=True)

    def _forget_old_failures(self) -> None:
        newest_first = sorted(self._folder.glob("*.failed"), key=_modified, reverse=True)
        for failure in newest_first[FAILURES_MAX:]:
            with locked(failure.with_suffix(".lock"), wait=False) as held:
                if held is not None:
                    for suffix in (".failed", ".log", ".lock"):
                        failure.with_suffix(suffix).unlink(missing_ok=True)

    def _evict(self, *, keep: Path) -> None:
        """Remove the least recently used environments beyond the limits, but none that a process still uses."""
        built = self.built()
        count, total = len(built), sum(each.size_bytes for each in built)
        if count <= self._count_max and total <= self._bytes_max:
            return
        now = max(each.last_use_ns for each in built)  # The file system's own clock: `keep` was marked just now.
        used = _environments_in_use()
        for each in built:
            if count <= self._count_max and total <= self._bytes_max:
                return
            is_idle = now - each.last_use_ns >= IDLE_SECONDS_MIN * 10**9
            if each.root != keep and is_idle and str(each.root) not in used and self._remove(each):
                count, total = count - 1, total - each.size_bytes

    def _remove(self, built: Built) -> bool:
        lock = built.root.with_suffix(".lock")
        with locked(lock, wait=False) as held:
            if held is None or _modified(built.root / _READY) != built.last_use_ns:
                return False
            (built.root / _READY).unlink()
            shutil.rmtree(built.root, ignore_errors=True)
            lock.unlink(missing_ok=True)
            return True


def _key(wanted: Sequence[str]) -> str:
    """Return the name of the environment: what is wanted, on which Python, on which platform."""
    identity = [list(wanted), sys.version, sys.base_prefix, sysconfig.get_platform()]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


def _read_built(root: Path) -> Built | None:
    try:
        size = int(json.loads((root / _READY).read_text())["size_bytes"])
        return Built(root, size, _modified(root / _READY))
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _read_failure(path: Path) -> LeptonError:
    code, message, hint = json.loads(path.read_text())
    return by_code(code)(message, hint=hint)


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _tree_bytes(root: Path) -> int:
    """Return what the tree takes on disk; a file with two names counts once."""
    blocks: dict[tuple[int, int], int] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            seen = os.lstat(os.path.join(folder, name))
            blocks[seen.st_dev, seen.st_ino] = seen.st_blocks * 512
    return sum(blocks.values())


def _environments_in_use() -> frozenset[str]:
    """Return the VIRTUAL_ENV of every process that we may look at; replicas run as we do, so theirs are among them."""
    found = set()
    for process in psutil.process_iter():
        try:
            found.add(process.environ().get("VIRTUAL_ENV", ""))
        except (psutil.Error, OSError):
            continue
    return frozenset(found)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(
            f"The virtual environment {path} cannot be built: {error.strerror or error}.",
            hint="Free some space on the node or mend the folder's permissions.",
        ) from error
