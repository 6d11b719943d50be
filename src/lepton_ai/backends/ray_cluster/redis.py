"""A Redis of the platform's own on the core's machine: started, found again, ended. It outlives the core, like Ray."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.errors import StorageFailed, Unavailable

START_SECONDS_MAX = 20.0  # 0.05 s on an idle machine; it reads what it keeps, which for Ray is some megabytes
ANSWER_SECONDS_MAX = 5.0
STOP_SECONDS_MAX = 5.0
POLL_SECONDS = 0.02
TAIL_BYTES = 2048
PROGRAMS = ("redis-server", "valkey-server")
PASSWORD_BYTES = 32
INSTALL_HINT = (
    "Install one that speaks TLS (Debian: apt install redis-server), name another: LEPTON_CLUSTER_STORE=rediss://HOST:PORT,"
    " or do without: LEPTON_CLUSTER_STORE=memory"
)
# Loopback alone, TLS alone, and to enter takes a certificate of the cluster's authority and the password. What was
# written a second before a power cut may be lost; what was written before the process died never is.
CONFIGURATION = """\
bind 127.0.0.1
port 0
tls-port {port}
tls-cert-file {certificate}
tls-key-file {certificate}
tls-ca-cert-file {authority}
tls-auth-clients yes
requirepass {password}
dir {folder}
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
daemonize no
"""


class Redis:
    """The one Redis of a state folder, whoever started it."""

    def __init__(self, place: ClusterPlace) -> None:
        self._place = place
        self._folder = place.folder / "redis"

    @property
    def port(self) -> int:
        """Its port on loopback, chosen once; raises StorageFailed."""
        return int(self._kept("port", lambda: str(_free_port())))

    @property
    def password(self) -> str:
        """The password that it wants, made once; raises StorageFailed."""
        return self._kept("password", lambda: secrets.token_hex(PASSWORD_BYTES))

    def ensure(self) -> None:
        """See to it that it runs and answers; raises Unavailable with the end of its log, StorageFailed."""
        if self.find() is None:
            self._start()

    def find(self) -> psutil.Process | None:
        """Return the process, or None. Its working folder is ours: a number given anew deceives nobody."""
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int((self._folder / "redis.pid").read_text()))
            is_ours = Path(process.cwd()) == self._folder.resolve() and process.status() != psutil.STATUS_ZOMBIE
            return process if is_ours else None
        return None

    def end(self) -> None:
        """End it, and delete what it keeps."""
        process = self.find()
        if process is not None:
            with contextlib.suppress(psutil.Error):
                process.terminate()
            _, left = psutil.wait_procs([process], STOP_SECONDS_MAX)
            for each in left:
                with contextlib.suppress(psutil.Error):
                    each.kill()
            psutil.wait_procs(left, STOP_SECONDS_MAX)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
        if program is None:
            raise Unavailable("No redis-server was found, which is to keep what Ray's head knows.", hint=INSTALL_HINT)
        written = CONFIGURATION.format(
            port=self.port,
            certificate=self._place.certificate.absolute(),
            authority=self._place.authority.absolute(),
            password=self.password,
            folder=self._folder.absolute(),
        )
        self._place.keep(self._folder / "redis.conf", written.encode())
        try:
            with os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
                started = subprocess.Popen(
                    [program, str(self._folder / "redis.conf")],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    env={"PATH": os.environ.get("PATH", os.defpath)},
                    start_new_session=True,
                )
        except OSError as error:
            raise StorageFailed(f"{program} cannot be started: {error.strerror or error}.") from error
        self._place.keep(self._folder / "redis.pid", str(started.pid).encode())
        self._wait(started)

    def _wait(self, started: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            if started.poll() is not None or time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    started.kill()
                hint = "Does it speak TLS? " + INSTALL_HINT
                raise Unavailable(f"Redis did not start: {self._last_words()}", hint=hint)
            time.sleep(POLL_SECONDS)

    def _answers(self) -> bool:
        """Tell whether it takes the password and answers a PING."""
        context = ssl.create_default_context(cafile=str(self._place.authority))
        context.load_cert_chain(self._place.certificate)
        with contextlib.suppress(OSError):
            plain = socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS_MAX)
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as line:
                line.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                said = b""
                while said.count(b"\r\n") < 2 and (more := line.recv(256)):
                    said += more
                return b"+PONG" in said
        return False

    @property
    def _log(self) -> Path:
        return self._folder / "redis.log"

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return self._log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()[-400:]
        return "it said nothing."

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        path = self._folder / name
        try:
            return path.read_text()
        except FileNotFoundError:
            self._make_folder()
            made = make()
            self._place.keep(path, made.encode())
            return made
        except OSError as error:
            raise StorageFailed(f"{path} cannot be read: {error.strerror or error}.") from error

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"{self._folder} cannot be made: {error.strerror or error}.") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
