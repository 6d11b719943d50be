"""The data plane: HAProxy, told what to serve by one frozen value and kept at it."""

from lepton_ai.backends.haproxy.desired import DataPlane
from lepton_ai.backends.haproxy.place import socket_folder
from lepton_ai.backends.haproxy.plane import HaproxyPlane
from lepton_ai.backends.haproxy.process import find_binary, free_port

__all__ = [
    "DataPlane",
    "HaproxyPlane",
    "find_binary",
    "free_port",
    "socket_folder",
]
