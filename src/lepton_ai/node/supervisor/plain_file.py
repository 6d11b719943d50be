"""Opens what a replica may have replaced: only plain files and true folders, never waiting or following a link."""

import errno
import os
import stat

_SAFE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def open_folder(path: str, within: int | None = None) -> int:
    """Return a file descriptor of the folder; raises OSError for anything else, links to folders included."""
    return os.open(path, _SAFE | os.O_DIRECTORY, dir_fd=within)


def open_plain(path: str, within: int | None = None) -> int:
    """Return a file descriptor to read the file; raises OSError for anything else.

    Opening a pipe for reading would wait for its writer, for ever if need be.
    """
    fd = os.open(path, _SAFE, dir_fd=within)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "Not a plain file", path)
    return fd


def read_plain(path: str, limit: int, within: int | None = None) -> bytes:
    """Return the first `limit` bytes of the file; raises OSError if it is anything else."""
    fd = open_plain(path, within)
    with os.fdopen(fd, "rb") as file:
        return file.read(limit)
