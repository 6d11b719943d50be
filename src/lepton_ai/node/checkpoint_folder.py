"""The checkpoint folder of a replica: which versions in it are complete, what they hold, and how one is laid there."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from lepton_ai.errors import InvalidInput, NotFound, StorageFailed
from lepton_ai.types.bucket import check_object_name
from lepton_ai.types.checkpoint import CheckpointPolicy, FoundFile, FoundVersion, StoredFile

QUIET_SECONDS = 1.0  # a version that changed more lately may be written in place
FILES_MAX = 10_000  # of one version: 10,000 x 0.02 ms = 0.2 s for a look
DEPTH_MAX = 16
COPY_BYTES = 8 * 1024 * 1024
# Names under which a version is still being written: ours and torch's habit (`x.tmp` and `.x`), Orbax' own.
_SUFFIXES = (".tmp", ".part", ".partial", ".incomplete", "~")
_MIDDLES = (".orbax-checkpoint-tmp", ".tmp.", ".tmp-")
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Version(Protocol):
    """A version to lay into the folder; `kernel.runtime.StoredVersion` is one."""

    @property
    def name(self) -> str: ...
    def files(self) -> Sequence[StoredFile]: ...
    def open(self, file: StoredFile) -> BinaryIO: ...


def is_temporary(name: str) -> bool:
    """Tell whether a version of that name is not complete yet."""
    return name.startswith((".", "tmp-")) or name.endswith(_SUFFIXES) or any(part in name for part in _MIDDLES)


def find_versions(work: Path, policy: CheckpointPolicy, before: float) -> list[FoundVersion]:
    """Return the complete versions in the folder that did not change since `before`, in seconds since 1970.

    Links, and whatever else is neither a file nor a folder, are no versions. Raises InvalidInput for a version with
    such a thing inside, or with too many files.
    """
    try:
        with _opened(work, policy.folder.split("/")) as folder:
            found = [_version(folder, name, policy) for name in sorted(os.listdir(folder)) if not is_temporary(name)]
    except OSError:
        return []
    return [one for one in found if one is not None and one.changed_at <= before]


def read_piece(work: Path, path: str, offset: int, limit: int) -> bytes:
    """Return a piece of a file of a version, which is empty beyond its end; raises NotFound."""
    *folders, name = path.split("/")
    try:
        with _opened(work, folders) as folder:
            fd = os.open(name, _FILE_FLAGS, dir_fd=folder)
            try:
                return os.pread(fd, limit, offset)
            finally:
                os.close(fd)
    except OSError as error:
        raise NotFound(f"{path!r} cannot be read: {error.strerror}.") from error


def lay_down(work: Path, policy: CheckpointPolicy, version: Version | None, tell: Callable[[str], None]) -> None:
    """Make the folder, and lay `version` into it; raises StorageFailed, and what reading the version raises."""
    folder = work
    try:
        for part in policy.folder.split("/"):
            folder = folder / part
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink():
                raise InvalidInput(f"{policy.folder!r} is a link in the bundle; the checkpoint folder cannot be one.")
        if version is not None:
            _lay_version(folder, version, tell)
    except OSError as error:
        raise StorageFailed(
            f"The checkpoint folder {policy.folder!r} cannot be filled: {error.strerror}.", hint="Free some space."
        ) from error


def _lay_version(folder: Path, version: Version, tell: Callable[[str], None]) -> None:
    files = version.files()
    tell(f"fetching checkpoint {version.name} ({sum(file.size for file in files):,} B)")
    target, draft = folder / version.name, folder / f".{version.name}.part"
    for old in (target, draft):
        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink(missing_ok=True)
    if not any(file.path for file in files) and files:
        _write(draft, version.open(files[0]))
    else:
        draft.mkdir(mode=0o700)
        for file in files:
            path = draft / check_object_name(file.path)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, version.open(file))
    draft.rename(target)


def _write(path: Path, source: BinaryIO) -> None:
    with source, path.open("xb") as file:
        shutil.copyfileobj(source, file, COPY_BYTES)


def _version(folder: int, name: str, policy: CheckpointPolicy) -> FoundVersion | None:
    about = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISREG(about.st_mode) and not policy.marker:
        return FoundVersion(name, _changed_at(about), (FoundFile("", about.st_size),))
    if not stat.S_ISDIR(about.st_mode):
        return None
    entries = list(_walk(folder, name, "", 0))
    files = [(path, entry) for path, entry in entries if stat.S_ISREG(entry.st_mode)]
    if policy.marker and all(path != policy.marker for path, _ in files):
        return None
    changed_at = max(map(_changed_at, (about, *(entry for _, entry in entries))))
    return FoundVersion(name, changed_at, tuple(FoundFile(path, entry.st_size) for path, entry in files))


def _walk(folder: int, name: str, above: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every file and folder in a version, each with its path in it, in one order."""
    inner = os.open(name, _FOLDER_FLAGS, dir_fd=folder)
    try:
        names = sorted(os.listdir(inner))
        if len(names) > FILES_MAX or depth > DEPTH_MAX:
            raise InvalidInput(f"The version {name!r} has over {FILES_MAX:,} files, or over {DEPTH_MAX} levels.")
        for one in names:
            about = os.stat(one, dir_fd=inner, follow_symlinks=False)
            yield f"{above}{one}", about
            if stat.S_ISDIR(about.st_mode):
                yield from _walk(inner, one, f"{above}{one}/", depth + 1)
            elif not stat.S_ISREG(about.st_mode):
                raise InvalidInput(f"The version {name!r} holds {one!r}, which is neither a file nor a folder.")
    finally:
        os.close(inner)


def _changed_at(about: os.stat_result) -> float:
    """Return when a file or folder last changed; to rename it counts, too, and nothing can set that back."""
    return max(about.st_mtime, about.st_ctime)


@contextmanager
def _opened(work: Path, parts: Sequence[str]) -> Iterator[int]:
    """Open a folder below `work` without ever following a link that the program may have put there."""
    fd = os.open(work, _FOLDER_FLAGS)
    try:
        for part in parts:
            if part in {"", ".", ".."}:
                raise NotFound(f"{'/'.join(parts)[:80]!r} is no path in a working directory.")
            inner = os.open(part, _FOLDER_FLAGS, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)
