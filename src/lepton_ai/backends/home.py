"""The state folder: who holds it, where things lie in it, and how clients find the core."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lepton_ai.errors import StorageFailed, Unavailable


class Home:
    """Paths under one state folder. Making it makes the folder, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.admin_token = folder / "admin.token"
        self.secret_key = folder / "secret.key"
        self.tls = folder / "tls"
        self.blobs = folder / "blobs"
        self.uploads = folder / "uploads"
        self.bundles = folder / "bundles"
        self.environments = folder / "environments"
        self.runtime = folder / "runtime"
        self._announcement = folder / "core.json"
        self._lock = folder / "core.lock"
        self._port = folder / "port"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _refused(folder, error) from error

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

    def node_name(self) -> str:
        """Return this machine's name as a node: its host name without the domain, made fit for a name."""
        name = "".join(c if c.isascii() and c.isalnum() else "-" for c in socket.gethostname().split(".")[0].lower())
        return name.strip("-")[:63] or "node"

    def _replace(self, path: Path, text: str) -> None:
        partial = path.with_name(f"{path.name}.new")
        try:
            partial.write_text(text)
            partial.replace(path)
        except OSError as error:
            raise _refused(path, error) from error


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
