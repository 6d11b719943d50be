"""The state folder: who holds it, where things lie in it, and how clients find the core."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lepton_ai.errors import StorageFailed, Unavailable

CORE_ID_DIGITS = 16
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Home:
    """Paths under one state folder. Making it makes the folder, readable by its owner alone.

    `shared` is the folder that several cores of one platform have in common, if there are several: what one of them
    stored or started, the next one must find. Keys and certificates stay with each.
    """

    def __init__(self, folder: Path, shared: Path | None = None) -> None:
        self.folder = folder
        shared = shared or folder
        self.admin_token = folder / "admin.token"
        self.secret_key = folder / "secret.key"
        self.tls = folder / "tls"
        self.blobs = shared / "blobs"
        self.uploads = shared / "uploads"
        self.bundles = folder / "bundles"
        self.keyring = shared / "keyring"
        self.objects = shared / "objects"
        self.seaweed = folder / "seaweedfs"
        self.environments = folder / "environments"
        self.runtime = shared / "runtime"
        self._announcement = folder / "core.json"
        self._lock = folder / "core.lock"
        self._port = folder / "port"
        self._core_id = folder / "core.id"
        self._node_name = shared / "node"
        for each in (folder, shared):
            try:
                each.mkdir(parents=True, exist_ok=True, mode=0o700)
                _close_to_others(each)
            except OSError as error:
                raise _refused(each, error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one core; raises Unavailable while another one lives."""
        try:
            file = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _refused(self.folder, error) from error
        try:
            _take(file, self.folder)
            yield
        finally:
            os.close(file)

    def announce(self, text: str) -> None:
        """Tell clients that the core is ready: the file appears whole or not at all."""
        self._replace(self._announcement, text)

    def withdraw(self) -> None:
        """Take the announcement back."""
        self._announcement.unlink(missing_ok=True)

    def kept_port(self) -> int:
        """Return the port that this folder's core took before, or a free one, which it keeps from now on."""
        try:
            return int(self._port.read_text())
        except (FileNotFoundError, ValueError):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            self._replace(self._port, str(port))
            return port

    def core_id(self) -> str:
        """Return the id of this folder's core among those that share a database.

        It is another one in a copy of the folder: two cores of one id would take the lead from each other for ever.
        """
        try:
            seed = self._core_id.read_text().strip()
        except (FileNotFoundError, ValueError):
            seed = ""
        if not seed:
            seed = secrets.token_hex(CORE_ID_DIGITS)
            self._replace(self._core_id, seed)
        place = f"{seed} {socket.gethostname()} {self.folder.absolute()}"
        return hashlib.sha256(place.encode()).hexdigest()[:CORE_ID_DIGITS]

    def node_name(self) -> str:
        """Return this machine's name as a node, which it keeps from now on.

        At first it is the host name without the domain, made fit for a name. That changes with the network on many
        machines, and under another name whatever runs here would count as lost.
        """
        try:
            kept = self._node_name.read_text().strip()
        except (FileNotFoundError, ValueError):
            kept = ""
        except OSError as error:
            raise _refused(self._node_name, error) from error
        if kept and kept == _fit(kept):
            return kept
        name = _fit(socket.gethostname().split(".")[0]) or "node"
        self._replace(self._node_name, name)
        return name

    def _replace(self, path: Path, text: str) -> None:
        partial = path.with_name(f"{path.name}.new")
        try:
            partial.write_text(text)
            partial.replace(path)
        except OSError as error:
            raise _refused(path, error) from error


def _fit(name: str) -> str:
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return kept.strip("-")[:63].strip("-")


def _close_to_others(folder: Path) -> None:
    """See to it that only the owner may enter, whoever made the folder; raises StorageFailed or OSError."""
    found = folder.stat()
    if not found.st_mode & OTHERS:
        return
    if found.st_uid != os.geteuid():
        raise StorageFailed(
            f"The state folder {folder} is open to others (mode {stat.S_IMODE(found.st_mode):o}) and not ours alone.",
            hint="Have its owner close it (chmod 700), or take another one: LEPTON_HOME=DIR lepton up",
        )
    folder.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)


def _take(file: int, folder: Path) -> None:
    """Lock the file for this process and write down its number; raises Unavailable or StorageFailed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(file, 32).decode().strip() or "unknown"
        raise Unavailable(
            f"Another core (process {holder}) already runs on {folder}.",
            hint="Use it: lepton status; or take another folder: LEPTON_HOME=DIR lepton up",
        ) from error
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
    except OSError as error:
        raise _refused(folder, error) from error


def _refused(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        f"The state folder cannot be written: {path}: {error.strerror}.",
        hint="Mend its owner, mode or space, or take another one: LEPTON_HOME=DIR lepton up",
    )
