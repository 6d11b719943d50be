"""The kernel's `DataPlane` on HAProxy: translates, skips what is unchanged, and notices when HAProxy dies."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lepton_ai.backends.haproxy import desired, figures
from lepton_ai.backends.haproxy.plane import HaproxyPlane
from lepton_ai.errors import LeptonError
from lepton_ai.types.data_plane import EndpointFigures, EndpointRoute, ServerFigures, TokenGrant

log = logging.getLogger(__name__)

FOREVER = 1e9  # seconds since the last request of an endpoint that never had one

Wanted = tuple[Sequence[EndpointRoute], Sequence[TokenGrant]]


class HaproxyDoor:
    """One HTTPS port for the core and every endpoint. Used by the loop's thread; figures may be asked from others."""

    def __init__(self, plane: HaproxyPlane, address: str, port: int, server_pem: Path, core_socket: Path) -> None:
        self._plane = plane
        self._base = desired.DataPlane(address=address, port=port, server_pem=server_pem, core_socket=core_socket)
        self._applied: Wanted | None = None
        self._wakes: list[Callable[[], None]] = []
        self._watched = 0
        self.trouble = ""

    def route(self, endpoints: Sequence[EndpointRoute], tokens: Sequence[TokenGrant]) -> None:
        """Make these endpoints and tokens work; raises Unavailable or StorageFailed, and what served serves on."""
        wanted = tuple(endpoints), tuple(tokens)
        if wanted == self._applied:
            return
        self._applied = None
        try:
            self._plane.apply(_translate(self._base, *wanted))
        except LeptonError as error:
            self.trouble = str(error)
            raise
        self.trouble = ""
        self._applied = wanted
        self._watch()

    def ensure(self) -> None:
        """Serve the core, should no service have routed anything yet."""
        if self._applied is None:
            self.route((), ())

    def endpoint_figures(self) -> Mapping[tuple[str, str], EndpointFigures]:
        """Return what HAProxy counted; nothing while it does not answer."""
        return {
            key: EndpointFigures(
                in_flight=found.in_flight + found.waking,
                queued=found.queued,
                requests_total=found.requests_total,
                idle_seconds=FOREVER if found.last_request_seconds_ago is None else found.last_request_seconds_ago,
            )
            for key, found in self._figures().items()
        }

    def server_figures(self) -> Mapping[str, ServerFigures]:
        """Return what HAProxy knows of each server; nothing while it does not answer."""
        return {
            name: ServerFigures(is_up=server.is_up, in_flight=server.in_flight)
            for found in self._figures().values()
            for name, server in found.servers.items()
        }

    def url(self, project: str, name: str) -> str:
        """Return the address of an endpoint."""
        return f"{self.base_url}/endpoints/{project}/{name}"

    @property
    def core_socket(self) -> Path:
        """Where the core itself must listen."""
        return self._base.core_socket

    @property
    def gateway_secret(self) -> str:
        """What HAProxy puts into requests that it hands over to a service in the core."""
        return self._plane.secret

    @property
    def base_url(self) -> str:
        """The address of everything."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._base.address, self._base.address)
        return f"https://{host}:{self._base.port}"

    def on_death(self, wake: Callable[[], None]) -> None:
        """Call `wake`, from a thread of our own, when HAProxy has ended and must be brought back."""
        self._wakes.append(wake)

    def state(self) -> Mapping[str, str]:
        """Return whether it serves, for `lepton status`."""
        is_ready = self._plane.is_running() and not self.trouble
        return {"state": "ready" if is_ready else "down", "detail": self.trouble}

    def stop(self) -> None:
        """End HAProxy."""
        self._applied = None
        self._wakes.clear()
        self._plane.stop()

    def _figures(self) -> Mapping[tuple[str, str], figures.EndpointFigures]:
        try:
            return self._plane.figures()
        except LeptonError:
            return {}

    def _watch(self) -> None:
        pid = self._plane.pid()
        if pid is None or pid == self._watched:
            return
        self._watched = pid
        threading.Thread(target=self._await_end, args=(pid,), name="haproxy-watch", daemon=True).start()

    def _await_end(self, pid: int) -> None:
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            pass
        else:
            try:
                select.select([descriptor], [], [])
            finally:
                os.close(descriptor)
        if self._wakes:
            log.warning("haproxy_ended pid=%s", pid)
        self._applied = None
        for wake in self._wakes:
            wake()


def _translate(
    base: desired.DataPlane, endpoints: Sequence[EndpointRoute], tokens: Sequence[TokenGrant]
) -> desired.DataPlane:
    return desired.DataPlane(
        address=base.address,
        port=base.port,
        server_pem=base.server_pem,
        core_socket=base.core_socket,
        endpoints=tuple(_route(endpoint) for endpoint in endpoints),
        tokens=tuple(desired.TokenGrant(token.sha256, token.project, token.expires_epoch) for token in tokens),
    )


def _route(endpoint: EndpointRoute) -> desired.EndpointRoute:
    has_path = bool(endpoint.servers and endpoint.servers[0].health_path)
    return desired.EndpointRoute(
        project=endpoint.project,
        name=endpoint.name,
        health=desired.HealthCheck.HTTP if has_path or not endpoint.servers else desired.HealthCheck.TCP,
        max_concurrency=endpoint.servers[0].max_concurrency if endpoint.servers else 0,
        servers=tuple(
            desired.Server(
                id=server.id,
                address=server.address,
                port=server.port,
                state=desired.ServerState(server.state.value),
                health_path=server.health_path or "/",
            )
            for server in endpoint.servers
        ),
    )
