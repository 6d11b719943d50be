"""The data plane: HAProxy, told what to serve by one frozen value and kept at it."""

from lepton_ai.backends.haproxy.desired import (
    NEVER_EXPIRES,
    DataPlane,
    EndpointRoute,
    HealthCheck,
    Server,
    ServerState,
    TokenGrant,
)
from lepton_ai.backends.haproxy.figures import EndpointFigures, ServerFigures
from lepton_ai.backends.haproxy.place import socket_folder
from lepton_ai.backends.haproxy.plane import HaproxyPlane
from lepton_ai.backends.haproxy.process import find_binary, free_port

__all__ = [
    "NEVER_EXPIRES",
    "DataPlane",
    "EndpointFigures",
    "EndpointRoute",
    "HaproxyPlane",
    "HealthCheck",
    "Server",
    "ServerFigures",
    "ServerState",
    "TokenGrant",
    "find_binary",
    "free_port",
    "socket_folder",
]
