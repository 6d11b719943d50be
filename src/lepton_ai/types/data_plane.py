"""What the data plane should serve, and what it counts: values that cannot be abused when they are written down."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from lepton_ai.errors import InvalidInput
from lepton_ai.types.base import check_name

EVERY_PROJECT = "*"
NEVER_EXPIRES = 253_402_300_799  # 9999-12-31T23:59:59Z: an expiry is always a number that can be compared
WEIGHT_MAX = 256  # HAProxy's own
ACTIVATOR = "activator"  # the name of the server that every endpoint has for when it sleeps

# Neither whitespace nor quotes nor `;`: a value that fits can be no second word, line or command.
_SERVER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")
_HEALTH_PATH = re.compile(r"/[A-Za-z0-9._~!$&()*+,=:@%/?-]{0,254}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ServerState(StrEnum):
    """Whether a replica gets new requests; with `drain` those that it has may end."""

    READY = "ready"
    DRAIN = "drain"


class HealthCheck(StrEnum):
    """How the replicas of an endpoint are probed: a GET that must give 2xx or 3xx, or a connection that opens."""

    HTTP = "http"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class NodeDoor:
    """The port of another node behind which its replicas are: TLS, both sides with certificates of the cluster."""

    node: str
    port: int

    def __post_init__(self) -> None:
        require(_SERVER_ID.fullmatch(self.node) is not None, "name of a node", self.node)
        require(0 < self.port < 65536, f"door of node {self.node}", self.port)

    def name_of(self, port: int) -> str:
        """Return the server name by which a client asks for the replica on `port` there."""
        return f"p{port}.{domain_of(self.node)}"


def domain_of(node: str) -> str:
    """Return the domain below which a node's certificate stands for every name."""
    return f"{node}.node.lepton"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One replica. `id` is never used again for another address; `address` is an IP address.

    With a `door`, `port` is reached through that. `health_path` counts where the endpoint's check is HTTP; an empty one
    leaves this replica without probes.
    """

    id: str
    address: str
    port: int
    weight: int = 100
    state: ServerState = ServerState.READY
    health_path: str = "/"
    door: NodeDoor | None = None

    def __post_init__(self) -> None:
        require(_SERVER_ID.fullmatch(self.id) is not None and self.id != ACTIVATOR, "server id", self.id)
        require(is_address(self.address), f"address of server {self.id}", self.address)
        require(0 < self.port < 65536, f"port of server {self.id}", self.port)
        require(0 <= self.weight <= WEIGHT_MAX, f"weight of server {self.id}", self.weight)
        fits = not self.health_path or _HEALTH_PATH.fullmatch(self.health_path) is not None
        require(fits, f"health path of server {self.id}", self.health_path)

    @property
    def effective_weight(self) -> int:
        """The weight that HAProxy is given: draining is weight 0, which a restart keeps and a drain flag would not."""
        return self.weight if self.state is ServerState.READY else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRoute:
    """One endpoint. `max_concurrency` holds per replica, 0 for no limit; more requests wait, `queue_max` at most.

    `request_timeout` bounds the time between two pieces of an answer, the first included.
    """

    project: str
    name: str
    servers: tuple[Server, ...] = ()
    health: HealthCheck = HealthCheck.HTTP
    max_concurrency: int = 0
    queue_max: int = 1024
    queue_timeout: timedelta = timedelta(seconds=60)
    request_timeout: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        for what, name in (("project", self.project), ("endpoint", self.name)):
            try:
                check_name(name)
            except ValueError as error:
                raise InvalidInput(f"The {what} of a route is wrong: {error}.") from error
        require(0 <= self.max_concurrency <= 100_000, f"max_concurrency of {self.name}", self.max_concurrency)
        require(0 <= self.queue_max <= 1_000_000, f"queue_max of {self.name}", self.queue_max)
        for timeout in (self.queue_timeout, self.request_timeout):
            require(timedelta() < timeout <= timedelta(days=7), f"time-out of {self.name}", timeout)

    @property
    def backend(self) -> str:
        """Its name in the data plane. No name holds a dot, so two endpoints never share one."""
        return f"e.{self.project}.{self.name}"


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """One project (or every one) that a token opens until `expires_epoch`. The token itself is never known here."""

    sha256: str
    project: str
    expires_epoch: int = NEVER_EXPIRES

    def __post_init__(self) -> None:
        require(_SHA256.fullmatch(self.sha256) is not None, "token digest", self.sha256)
        require(0 <= self.expires_epoch <= NEVER_EXPIRES, "token expiry", self.expires_epoch)
        if self.project != EVERY_PROJECT:
            try:
                check_name(self.project)
            except ValueError as error:
                raise InvalidInput(f"The project of a token is wrong: {error}.") from error


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """One replica. `in_flight` also counts requests that a worker from before a reload still holds."""

    in_flight: int = 0
    is_up: bool = False


@dataclass(frozen=True, slots=True)
class EndpointFigures:
    """One endpoint. `waking` requests wait in the core for a replica; `queued` ones for a free one.

    Totals count since the core began to watch; `last_request_seconds_ago` is None when no request was ever seen.
    """

    in_flight: int = 0
    queued: int = 0
    waking: int = 0
    requests_total: int = 0
    errors_total: int = 0  # answers with 5xx, whoever gave them
    connection_errors_total: int = 0
    last_request_seconds_ago: float | None = None
    servers: Mapping[str, ServerFigures] = field(default_factory=dict)


def is_address(text: str) -> bool:
    """Tell whether `text` is an IP address that names the same machine everywhere."""
    try:
        # A zone (`fe80::1%eth0`) may hold any character and names an interface of one machine only.
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def require(fits: bool, what: str, value: object) -> None:
    """Raise InvalidInput unless `value` fits as `what`."""
    if not fits:
        raise InvalidInput(f"The data plane cannot use {str(value)[:100]!r} as {what}.")
