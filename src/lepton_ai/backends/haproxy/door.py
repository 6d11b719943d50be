"""The kernel's `DataPlane` on HAProxy: translates, skips what is unchanged, and notices when HAProxy dies."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lepton_ai.backends.haproxy.desired import DataPlane, Peer
from lepton_ai.backends.haproxy.plane import HaproxyPlane
from lepton_ai.backends.process_end import await_end
from lepton_ai.errors import LeptonError, StorageFailed, Unavailable
from lepton_ai.types.data_plane import EndpointFigures, EndpointRoute, TokenGrant

log = logging.getLogger(__name__)

OVERHAUL_SECONDS = 30.0

Wanted = tuple[tuple[EndpointRoute, ...], tuple[TokenGrant, ...]]


class HaproxyDoor:
    """One HTTPS port for the core and every endpoint. Used by the loop's thread; figures may be asked from others."""

    def __init__(self, plane: HaproxyPlane, base: DataPlane) -> None:
        """`base` is what it serves without any endpoint; its `peer` counts from when its certificate is there."""
        self._plane = plane
        self._base = base
        self._applied: Wanted | None = None
        self._applied_at = 0.0
        self._wakes: list[Callable[[], None]] = []
        self._watched = 0
        self._is_stopped = False
        self._lock = threading.Lock()  # the loop may route in the moment in which a request stops everything
        self.trouble = ""

    def route(self, endpoints: Sequence[EndpointRoute], tokens: Sequence[TokenGrant]) -> None:
        """Make these endpoints and tokens work; raises Unavailable or StorageFailed, and what served serves on.

        After `stop` nothing is routed any more: the loop's last pass would start HAProxy again, for good.
        """
        with self._lock:
            if not self._is_stopped:
                self._route((tuple(endpoints), tuple(tokens)))

    def ensure(self, *, stands_by: bool = False) -> None:
        """Serve the core, should no service have routed anything yet; `stands_by`: and no endpoint until it leads."""
        self._base = replace(self._base, stands_by=stands_by)
        if self._applied is None:
            self.route((), ())

    def lead(self) -> None:
        """Serve endpoints from the next route on."""
        self._base = replace(self._base, stands_by=False)
        self._applied = None

    def figures(self) -> Mapping[tuple[str, str], EndpointFigures]:
        """Return what HAProxy counted; nothing while it does not answer."""
        try:
            return self._plane.figures()
        except LeptonError:
            return {}

    def tls(self) -> ssl.SSLContext:
        """Return how the core speaks to the doors of nodes; raises Unavailable where there are none."""
        peer = self._peer()
        if peer is None:
            raise Unavailable("This core has no certificate for the doors of nodes.", hint="See: lepton up --cluster")
        try:
            context = ssl.create_default_context(cafile=str(peer.authority))
            context.load_cert_chain(peer.certificate)
        except (OSError, ssl.SSLError) as error:
            raise StorageFailed(f"{peer.certificate} cannot be used: {error}.") from error
        return context

    def url(self, project: str, name: str) -> str:
        """Return the address of an endpoint."""
        return f"{self.base_url}/endpoints/{project}/{name}/"

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
        """End HAProxy, for as long as this object lives."""
        with self._lock:
            self._is_stopped = True
            self._applied = None
            self._wakes.clear()
            self._plane.stop()

    def _route(self, wanted: Wanted) -> None:
        # Looked over once in a while all the same: a server that was removed while busy waits for that.
        if wanted == self._applied and time.monotonic() < self._applied_at + OVERHAUL_SECONDS:
            return
        self._applied = None
        try:
            self._plane.apply(replace(self._base, endpoints=wanted[0], tokens=wanted[1], peer=self._peer()))
        except LeptonError as error:
            self.trouble = str(error)
            raise
        self.trouble = ""
        self._applied, self._applied_at = wanted, time.monotonic()
        self._watch()

    def _peer(self) -> Peer | None:
        peer = self._base.peer
        return peer if peer is not None and peer.certificate.exists() else None

    def _watch(self) -> None:
        pid = self._plane.pid()
        if pid is None or pid == self._watched:
            return
        self._watched = pid
        threading.Thread(target=self._await_end, args=(pid,), name="haproxy-watch", daemon=True).start()

    def _await_end(self, pid: int) -> None:
        await_end(pid)
        if self._wakes:
            log.warning("haproxy_ended pid=%s", pid)
        self._applied = None
        for wake in self._wakes:
            wake()
