"""Copy a tree so that each replica may write into its own; files share their blocks where the file system can.

Hard links would be faster and are wrong: a replica that appends to a file would change it for all others.
`copy_file_range` clones blocks on XFS and Btrfs, copies inside the kernel elsewhere, and is safe to write to.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

# Where the kernel or the file system cannot do it: across mounts on old kernels, some network file systems.
_UNSUPPORTED = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)


def copy_tree(source: Path, target: Path) -> None:
    """Copy what is in `source` into `target`, which may exist; a copy that was cut short is completed.

    Links are copied as links. File modes are kept, times are not.
    """
    os.makedirs(target, exist_ok=True)
    _copy_folder(str(source), str(target))


def _copy_folder(source: str, target: str) -> None:
    with os.scandir(source) as items:
        for item in items:
            to = f"{target}/{item.name}"
            if item.is_symlink():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(to)
                os.symlink(os.readlink(item.path), to)
            elif item.is_dir():
                with contextlib.suppress(FileExistsError):
                    os.mkdir(to)
                _copy_folder(item.path, to)
            else:
                _copy_file(item.path, to)


def _copy_file(source: str, target: str) -> None:
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        seen = os.fstat(reader)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        writer = os.open(target, flags, seen.st_mode & 0o777)
        try:
            _copy_content(reader, writer, seen.st_size)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _copy_content(reader: int, writer: int, size: int) -> None:
    left = size
    while left:
        try:
            done = os.copy_file_range(reader, writer, left)
        except OSError as error:
            if error.errno not in _UNSUPPORTED or left != size:
                raise
            with os.fdopen(os.dup(reader), "rb") as plain, os.fdopen(os.dup(writer), "wb") as out:
                shutil.copyfileobj(plain, out)
            return
        if not done:
            return
        left -= done
