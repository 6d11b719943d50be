"""What HAProxy should serve: one frozen value, checked when it is made, so that rendering cannot be abused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lepton_ai.errors import InvalidInput
from lepton_ai.types.data_plane import EndpointRoute, TokenGrant, is_address, require

_SOCKET_PATH = re.compile(r"/[A-Za-z0-9._+@~/-]{1,106}")  # unix(7): sun_path holds 108 bytes with the final zero
_FILE_PATH = re.compile(r"/[^\x00-\x1f\x7f']+")  # goes between single quotes, where nothing else is special


@dataclass(frozen=True, slots=True)
class Peer:
    """As whom HAProxy speaks to the doors of nodes: its certificate with key, and the authority that they have."""

    certificate: Path
    authority: Path

    def __post_init__(self) -> None:
        for path in (self.certificate, self.authority):
            require(_FILE_PATH.fullmatch(str(path)) is not None, "path of the certificate", path)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlane:
    """Everything that HAProxy should do. `core_socket` is where the core's own API listens.

    While the core `stands_by`, endpoints are served elsewhere, and each request for one is told so. Servers behind the
    doors of nodes need a `peer`.
    """

    address: str
    port: int
    server_pem: Path
    core_socket: Path
    endpoints: tuple[EndpointRoute, ...] = ()
    tokens: tuple[TokenGrant, ...] = ()
    stands_by: bool = False
    peer: Peer | None = None

    def __post_init__(self) -> None:
        require(is_address(self.address), "address to listen on", self.address)
        require(0 < self.port < 65536, "port to listen on", self.port)
        require(
            _SOCKET_PATH.fullmatch(str(self.core_socket)) is not None, "path of the core's socket", self.core_socket
        )
        require(_FILE_PATH.fullmatch(str(self.server_pem)) is not None, "path of the certificate", self.server_pem)
        _require_distinct("endpoint", (route.backend for route in self.endpoints))
        _require_distinct("server id", (server.id for route in self.endpoints for server in route.servers))


def is_plain_socket_path(path: Path) -> bool:
    """Tell whether HAProxy can be given a socket at `path`."""
    return _SOCKET_PATH.fullmatch(str(path)) is not None


def _require_distinct(what: str, keys: Iterable[str]) -> None:
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise InvalidInput(f"The data plane was given the same {what} twice: {', '.join(sorted(twice)[:5])}.")
