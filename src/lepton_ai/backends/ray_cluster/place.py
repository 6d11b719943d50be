"""Where a machine keeps what makes it a node: certificate, tokens, Ray's folder; and the environment Ray needs."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lepton_ai.backends.certificates import write_whole
from lepton_ai.backends.haproxy.place import make_folder, socket_folder
from lepton_ai.backends.ray_runtime.amounts import HARDWARE_FILE
from lepton_ai.errors import NotFound, StorageFailed

# A socket's path may have 107 bytes (unix(7)); Ray's longest is
# `/ray/session_2026-11-24_01-25-20_948656_4194304/sockets/plasma_store`: 68 bytes, which leaves 39 for ours.
RAY_FOLDER_MAX = 39
TOKEN_BYTES = 32
# What Ray does not do well by default. A raylet that died is noticed after five looks of a second each, 10 s at most.
# What was given back is booked within 20 ms, and a placement group that found no room is tried again within 50 ms.
TUNING = {
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "5",
    "RAY_gcs_create_placement_group_retry_min_interval_ms": "10",
    "RAY_gcs_create_placement_group_retry_max_interval_ms": "50",
    "RAY_raylet_report_resources_period_milliseconds": "20",
    # Without a store of its own a head that comes back is another cluster, for which nobody need wait a minute.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",
}
START_HOOK = "lepton_ai.backends.ray_cluster.start_hook.close_doors"


@dataclass(frozen=True, slots=True)
class Joined:
    """What a machine that joined remembers. It holds the node's own token, so its file is 0600."""

    name: str
    url: str
    head: str
    address: str
    node_token: str


@dataclass(frozen=True, slots=True)
class ClusterPlace:
    """The paths of one node under its state folder."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "cluster"

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        """Certificate and key in one file, so that no process reads one of them old and the other new."""
        return self.folder / "node.pem"

    @property
    def token(self) -> Path:
        return self.folder / "ray.token"

    @property
    def joined(self) -> Path:
        return self.folder / "joined.json"

    @property
    def hardware(self) -> Path:
        """What was measured when Ray was last started and told of it, so that whoever runs work here says the same."""
        return self.home / HARDWARE_FILE

    @property
    def door_port(self) -> Path:
        """The port of this node's door, once that is open."""
        return self.folder / "door.port"

    @property
    def process(self) -> Path:
        return self.folder / "ray.json"

    @property
    def log(self) -> Path:
        return self.folder / "ray.log"

    @property
    def agent_log(self) -> Path:
        return self.folder / "agent.log"

    @property
    def agent_lock(self) -> Path:
        return self.folder / "agent.lock"

    @property
    def ray_folder(self) -> Path:
        """The folder for Ray's sessions, with sockets and logs; only we may enter the one that it lies in."""
        return socket_folder(self.home, bytes_max=RAY_FOLDER_MAX) / "ray"

    def make(self) -> None:
        """Make the folder, for its owner alone; raises StorageFailed."""
        make_folder(self.folder)

    def keep(self, path: Path, content: bytes) -> None:
        """Write one of the files (0600), whole or not at all; raises StorageFailed."""
        try:
            write_whole(path, content)
        except OSError as error:
            raise StorageFailed(
                f"{path} cannot be written: {error.strerror or error}.", hint="Check the disk's free space."
            ) from error

    def keep_identity(self, key: bytes, certificate: str, authority: str) -> None:
        """Keep a certificate with its key and its authority; whatever Ray starts from now on uses them."""
        self.keep(self.authority, authority.encode())
        self.keep(self.certificate, certificate.encode() + key)

    def ensure_token(self) -> str:
        """Return the token of this cluster, made anew where there is none."""
        try:
            return self.token.read_text().strip()
        except FileNotFoundError:
            made = secrets.token_hex(TOKEN_BYTES)
            self.keep(self.token, made.encode())
            return made
        except OSError as error:
            raise StorageFailed(f"{self.token} cannot be read: {error.strerror or error}.") from error

    def remember(self, joined: Joined) -> None:
        """Keep what joining gave this machine."""
        self.keep(self.joined, json.dumps(asdict(joined)).encode())

    def recall(self) -> Joined:
        """Return what joining gave this machine; raises NotFound if it never joined or has left."""
        try:
            return Joined(**json.loads(self.joined.read_text()))
        except FileNotFoundError:
            raise NotFound(
                f"This machine is no node: {self.joined} is not there.",
                hint="Join a cluster: lepton join URL --token JOIN_TOKEN",
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise StorageFailed(f"{self.joined} cannot be read: {error}.") from error

    def ray_environment(self) -> Mapping[str, str]:
        """Return the variables with which any process finds its way into this cluster, and Ray keeps its doors shut."""
        return {
            "RAY_USE_TLS": "1",
            "RAY_TLS_SERVER_CERT": str(self.certificate),
            "RAY_TLS_SERVER_KEY": str(self.certificate),
            "RAY_TLS_CA_CERT": str(self.authority),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_enable_metrics_collection": "0",
            "RAY_START_HOOK": START_HOOK,
        }

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment for Ray's processes: ours, without what is meant for the core or another Ray.

        What Ray starts here finds this node's state folder in LEPTON_HOME.
        """
        inherited = os.environ if base is None else base
        kept = {name: value for name, value in inherited.items() if not name.startswith(("LEPTON_", "RAY_"))}
        return {**kept, **self.ray_environment(), **TUNING, "LEPTON_HOME": str(self.home.absolute())}
