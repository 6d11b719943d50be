"""Where the data plane keeps its files and unix sockets, and how a file is replaced in one step."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lepton_ai.backends.haproxy.desired import is_plain_socket_path
from lepton_ai.errors import StorageFailed

# A socket's path may have 107 bytes (unix(7)), and HAProxy binds `NAME.PID.tmp` before it renames:
# 107 - len("/activator.sock") - len(".4194304.tmp") = 80.
SOCKET_FOLDER_MAX = 80


@dataclass(frozen=True, slots=True)
class Place:
    """The paths of one data plane. `folder` holds files that outlive a boot, `sockets` those that need not."""

    folder: Path
    sockets: Path

    @property
    def config(self) -> Path:
        return self.folder / "haproxy.cfg"

    @property
    def pid_file(self) -> Path:
        return self.folder / "haproxy.pid"

    @property
    def secret_file(self) -> Path:
        return self.folder / "gateway.secret"

    @property
    def master_socket(self) -> Path:
        return self.sockets / "master.sock"

    @property
    def stats_socket(self) -> Path:
        return self.sockets / "stats.sock"

    @property
    def activator_socket(self) -> Path:
        return self.sockets / "activator.sock"


def socket_folder(
    home: Path, environment: Mapping[str, str] | None = None, *, bytes_max: int = SOCKET_FOLDER_MAX
) -> Path:
    """Make and return the folder for the unix sockets of `home`: `home/run` unless that is too deep for a socket.

    Then it is a private folder (0700, ours) in XDG_RUNTIME_DIR or the temporary folder, named after a hash of `home`,
    so that the next core finds it. Raises StorageFailed if it cannot be made or belongs to somebody else.
    """
    env = os.environ if environment is None else environment
    unique = f"lepton-{os.geteuid()}-{hashlib.sha256(os.fsencode(home.absolute())).hexdigest()[:16]}"
    candidates = [home.absolute() / "run", Path(tempfile.gettempdir()) / unique, Path("/tmp") / unique]  # noqa: S108
    if env.get("XDG_RUNTIME_DIR"):
        candidates.insert(1, Path(env["XDG_RUNTIME_DIR"]) / unique)
    for candidate in candidates:
        if len(os.fsencode(candidate)) <= bytes_max and is_plain_socket_path(candidate):
            _make_private(candidate)
            return candidate
    raise StorageFailed(f"No folder with a path of at most {bytes_max} bytes was found for the sockets.")


def replace_file(path: Path, text: str) -> bool:
    """Make `path` (0600) hold `text` in one step and tell whether it did not; raises StorageFailed.

    There is no fsync: after a power cut the core renders every file again before it starts HAProxy.
    """
    try:
        if path.read_text() == text:
            return False
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    except OSError as error:
        raise _refused(path, error) from error
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        raise _refused(path, error) from error
    return True


def make_folder(path: Path) -> None:
    """Make a folder that only we may enter; raises StorageFailed."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(path, error) from error


def _make_private(path: Path) -> None:
    make_folder(path)
    try:
        found = path.lstat()
        # In a folder that all may write to, somebody could have made ours first and would hold our sockets.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise StorageFailed(f"{path} belongs to another user.", hint="Remove it, or set XDG_RUNTIME_DIR.")
        path.chmod(0o700)
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        f"{path} cannot be written: {error.strerror or error}.", hint="Check the disk's free space and the owner."
    )
