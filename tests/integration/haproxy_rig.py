"""What the tests of the data plane stand on: a real HAProxy, replicas that are real processes, and a client."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from lepton_ai.backends.certificates import TlsFiles, ensure_certificates
from lepton_ai.backends.haproxy import DataPlane, HaproxyPlane, free_port, socket_folder
from lepton_ai.kernel.clock import SystemClock
from lepton_ai.types.data_plane import EndpointRoute, Server, ServerState, TokenGrant

REPLICA = Path(__file__).with_name("haproxy_replica.py")
LIMIT_SECONDS = 20.0
TOKEN, ADMIN, EXPIRED, FOREIGN = "token-of-vision", "token-of-admin", "token-of-last-year", "token-of-speech"


def poll(probe: Callable[[], bool], what: str) -> None:
    """Wait until `probe` holds, for LIMIT_SECONDS at most."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not probe():
        assert time.monotonic() < deadline, f"waited {LIMIT_SECONDS} s for: {what}"
        time.sleep(0.02)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def grants() -> tuple[TokenGrant, ...]:
    return (
        TokenGrant(digest(TOKEN), "vision"),
        TokenGrant(digest(ADMIN), "*"),
        TokenGrant(digest(EXPIRED), "vision", int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())),
        TokenGrant(digest(FOREIGN), "speech"),
    )


@dataclass
class Replica:
    """One process that serves; `where` is its port or its socket."""

    where: str
    process: subprocess.Popen[bytes]

    def server(self, name: str, state: ServerState = ServerState.READY, health_path: str = "/health") -> Server:
        return Server(id=name, address="127.0.0.1", port=int(self.where), state=state, health_path=health_path)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(LIMIT_SECONDS)


@dataclass
class Rig:
    """A data plane in a folder of its own."""

    home: Path
    tls: TlsFiles
    plane: HaproxyPlane
    desired: DataPlane
    replicas: list[Replica] = field(default_factory=list)

    def replica(self, where: str = "") -> Replica:
        """Start a replica, on a free port unless told where, and return when it answers."""
        made = start_replica(where or str(free_port("127.0.0.1")))
        self.replicas.append(made)
        return made

    def core(self) -> Replica:
        """Start a stand-in for the core on its socket."""
        self.desired.core_socket.unlink(missing_ok=True)
        return self.replica(str(self.desired.core_socket))

    def serve(self, *routes: EndpointRoute) -> None:
        self.desired = replace(self.desired, endpoints=routes)
        self.plane.apply(self.desired)

    def client(self, token: str = TOKEN) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        context = ssl.create_default_context(cafile=str(self.tls.ca))
        base = f"https://127.0.0.1:{self.desired.port}"
        return httpx.Client(base_url=base, verify=context, headers=headers, timeout=LIMIT_SECONDS)

    def get(self, path: str, token: str = TOKEN, **headers: str) -> httpx.Response:
        with self.client(token) as client:
            return client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def start_replica(where: str) -> Replica:
    process = subprocess.Popen([sys.executable, "-S", "-E", str(REPLICA), where])
    made = Replica(where, process)
    poll(lambda: _accepts(where), f"the replica on {where} to listen")
    return made


def route(*servers: Server, name: str = "digits", project: str = "vision", max_concurrency: int = 0) -> EndpointRoute:
    return EndpointRoute(project=project, name=name, servers=servers, max_concurrency=max_concurrency)


@contextlib.contextmanager
def rig_in(home: Path) -> Iterator[Rig]:
    """Give a data plane that has not started, and end everything afterwards."""
    tls = ensure_certificates(home / "tls", ["127.0.0.1"], SystemClock().now())
    desired = DataPlane(
        address="127.0.0.1",
        port=free_port("127.0.0.1"),
        server_pem=tls.server_pem,
        core_socket=socket_folder(home) / "core.sock",
        tokens=grants(),
    )
    rig = Rig(home, tls, HaproxyPlane(home), desired)
    try:
        yield rig
    finally:
        rig.plane.stop(timedelta(0))
        for replica in rig.replicas:
            replica.kill()
        shutil.rmtree(desired.core_socket.parent, ignore_errors=True)  # not in `home` where that is too deep


def _accepts(where: str) -> bool:
    family, address = (socket.AF_INET, ("127.0.0.1", int(where))) if where.isdigit() else (socket.AF_UNIX, where)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(address) == 0
