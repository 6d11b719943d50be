"""The head of a cluster, on the core's machine: keeps Ray's head running, and gives machines what they need to join."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lepton_ai.backends.node_certificates import (
    Holder,
    NodeCertificate,
    fingerprint_of_file,
    is_near_its_end,
    request_certificate,
    sign_request,
)
from lepton_ai.backends.ray_cluster.command import head_command
from lepton_ai.backends.ray_cluster.head_store import HeadStore
from lepton_ai.backends.ray_cluster.keeper import RayKeeper
from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.backends.ray_cluster.process import START_SECONDS_MAX, check_installed
from lepton_ai.backends.ray_cluster.versions import own_versions
from lepton_ai.errors import LeptonError, Unavailable
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.roster import Roster
from lepton_ai.types.membership import CallBack
from lepton_ai.types.node import Hardware

TICK_SECONDS = 1.0
CALL_BACK_SECONDS = 5.0
NONCE_BYTES_MAX = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HeadMachine:
    """The machine that the head runs on: its name as a node, its address and port, what it has."""

    name: str
    address: str
    port: int
    hardware: Hardware


@dataclass(frozen=True, slots=True)
class Trust:
    """The folder with the core's authority, the certificate that its HTTPS port shows, and what time it is."""

    folder: Path
    server_pem: Path
    clock: Clock


class ClusterHead:
    """What the API needs of the cluster, and the thread that keeps Ray's head alive.

    `store` is what Ray's head keeps its knowledge in.
    """

    def __init__(self, place: ClusterPlace, machine: HeadMachine, trust: Trust, store: HeadStore, roster: Roster):
        self._place = place
        self._machine = machine
        self._trust = trust
        self._store = store
        self._stop = threading.Event()
        self._anew: Callable[[], None] = _nothing
        self._thread = threading.Thread(target=self._run, name="ray-head", daemon=True)
        self.roster = roster
        self.versions = own_versions()
        self.keeper = RayKeeper(place, machine.address, machine.hardware, self._command, store.environment)

    @property
    def head(self) -> str:
        host = f"[{self._machine.address}]" if ":" in self._machine.address else self._machine.address
        return f"{host}:{self._machine.port}"

    def begin(self, anew: Callable[[], None]) -> None:
        """Make what the head needs, start it unless it runs, and keep it from then on, in the background.

        `anew` is called when Ray's head has ended: its drivers must be new processes before there is another one.

        Raises what keeps Ray from starting, with the end of its own log, and Forbidden for a port that is open.
        """
        check_installed()
        self._anew = anew
        self._place.make()
        self._place.ensure_token()
        self._renew()
        self.roster.refresh()
        self._store.ensure()
        self.keeper.ensure()
        self._thread.start()

    def close(self, *, ends_ray: bool = False) -> None:
        """Keep it no longer. Ray runs on, for the next core to take over, or is ended, and with it the cluster."""
        self._stop.set()
        if ends_ray:
            self._thread.join(START_SECONDS_MAX)
            self.keeper.stop()
            self._store.end()

    def fingerprint(self) -> str:
        return fingerprint_of_file(self._trust.server_pem)

    def cluster_token(self) -> str:
        return self._place.ensure_token()

    def sign(self, request_pem: str, name: str, address: str) -> NodeCertificate:
        return self._sign(request_pem, Holder(name, address))

    def call_back(self, address: str, call_back: CallBack) -> None:
        """Connect to a machine that joins: Ray needs both ways, and only who holds the address can answer there."""
        try:
            with socket.create_connection((address, call_back.port), CALL_BACK_SECONDS) as connection:
                connection.settimeout(CALL_BACK_SECONDS)
                said = connection.recv(NONCE_BYTES_MAX)
        except OSError as error:
            raise _one_way(address, error.strerror or str(error)) from error
        if said.decode(errors="replace") != call_back.nonce:
            raise _one_way(address, "another machine answers there")

    def _command(self) -> list[str]:
        one = self._machine
        return [*head_command(one.name, one.address, one.port, one.hardware, self._place.ray_folder)]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._store.ensure()
            except LeptonError as error:  # Ray's head ends without it, and the next one waits for it
                _log.error("head_store_not_started error=%s", error)
            if not self.keeper.is_running():
                # Ray ends its drivers when their raylet ends, or when they meet another cluster.
                self._anew()
            self._stop.wait(TICK_SECONDS)

    def _sign(self, request_pem: str, holder: Holder) -> NodeCertificate:
        return sign_request(self._trust.folder, request_pem, holder, self._trust.clock.now())

    def _renew(self) -> None:
        """Give the head a certificate if it has none for its address, or one that ends soon."""
        holder = Holder(self._machine.name, self._machine.address, is_core=True)
        if not is_near_its_end(self._place.certificate, self._trust.clock.now(), holder):
            return
        key, request = request_certificate(self._machine.name)
        signed = self._sign(request, holder)
        self._place.keep_identity(key, signed.certificate, signed.authority)


def _nothing() -> None:
    """What a head does that does not run yet."""


def _one_way(address: str, why: str) -> Unavailable:
    return Unavailable(
        f"The core cannot reach the machine that joins at {address}: {why}.",
        hint="Nodes need a way in both directions. Behind NAT or a firewall: open it, or name another --address.",
    )
