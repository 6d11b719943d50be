"""The one port by which the core reaches the replicas of a node: TLS, for the core's certificate alone (ADR 0021).

An HAProxy behind it passes each connection on to the loopback port that its server name asks for. It outlives the
agent, as the replicas do.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from lepton_ai.backends.haproxy.place import SOCKET_FOLDER_MAX as PATH_MAX
from lepton_ai.backends.haproxy.place import Place, make_folder, replace_file, socket_folder
from lepton_ai.backends.haproxy.process import HaproxyProcess, free_port
from lepton_ai.backends.node_certificates import CORE
from lepton_ai.backends.ray_cluster import doors
from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.errors import Forbidden, LeptonError, StorageFailed

FOLDER = "door"
STOP_GRACE = timedelta(seconds=2)
OLD_WORKER_TIMEOUT = "30m"  # a reload leaves the old worker to end what it carries

# The server name is `pPORT.NODE.node.lepton`. Nobody but the core gets as far as naming one.
CONFIG = """\
# Made by Lepton AI; changes made here are overwritten. {certificate_digest}
global
    nbthread 1
    maxconn 2000
    noreuseport
    hard-stop-after {old_worker_timeout}
    stats socket unix@{stats_socket} mode 600 level admin
    ssl-default-bind-options ssl-min-ver TLSv1.2

defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h

frontend door
    bind {bind} ssl crt '{certificate}' ca-file '{authority}' verify required
    tcp-request session reject unless {{ ssl_c_s_dn(OU) -m str {core} }}
    tcp-request session set-var(sess.port) ssl_fc_sni,field(1,.),regsub(^p,),add(0)
    tcp-request session reject unless {{ var(sess.port) -m int 1024:65535 }}
    default_backend replicas

backend replicas
    tcp-request content set-dst-port var(sess.port)
    server replica 127.0.0.1
"""


class NodeDoorProcess:
    """The door of this node, at its address in the cluster."""

    def __init__(self, node: ClusterPlace, address: str) -> None:
        self._node = node
        self._address = address
        sockets = socket_folder(node.home, bytes_max=PATH_MAX - len(FOLDER) - 1) / FOLDER
        self._place = Place(node.folder / FOLDER, sockets)
        self._process = HaproxyProcess(self._place)

    def ensure(self) -> None:
        """Have it open, with the certificate that the node has now; raises Unavailable, StorageFailed, Forbidden."""
        make_folder(self._place.folder)
        make_folder(self._place.sockets)
        is_running, port = self._process.is_running(), read_port(self._node)
        if not is_running and not port:
            port = free_port(self._address)
        is_changed = replace_file(self._place.config, self._config(port))
        if not is_running:
            self._start(port)
        elif is_changed:
            self._process.reload(self._address, port)

    def stop(self) -> None:
        """Shut it."""
        self._process.stop(STOP_GRACE)
        self._node.door_port.unlink(missing_ok=True)

    def _start(self, port: int) -> None:
        try:
            self._process.start(self._address, port)
        except LeptonError:
            self._node.door_port.unlink(
                missing_ok=True
            )  # somebody else may have the port by now: another one next time
            raise
        answer, why = doors.knock(self._address, port)
        if answer is doors.Answer.OPEN:
            self.stop()
            raise Forbidden(f"The door to this node's replicas was shut again: port {port} answers strangers: {why}.")
        self._node.keep(self._node.door_port, str(port).encode())

    def _config(self, port: int) -> str:
        address = f"[{self._address}]" if ":" in self._address else self._address
        try:
            digest = hashlib.sha256(self._node.certificate.read_bytes()).hexdigest()[:32]
        except OSError as error:
            raise StorageFailed(f"{self._node.certificate} cannot be read: {error.strerror or error}.") from error
        return CONFIG.format(
            certificate_digest=digest,
            old_worker_timeout=OLD_WORKER_TIMEOUT,
            stats_socket=self._place.stats_socket,
            bind=f"{address}:{port}",
            certificate=self._node.certificate.absolute(),
            authority=self._node.authority.absolute(),
            core=CORE,
        )


def read_port(node: ClusterPlace) -> int:
    """Return the port of the node's door; 0 while it has none."""
    try:
        return int(node.door_port.read_text())
    except (OSError, ValueError):
        return 0
