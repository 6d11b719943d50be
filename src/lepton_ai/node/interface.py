"""Which network interface of this machine carries an address."""

from __future__ import annotations

import ipaddress
import socket

import psutil


def interface_of(address: str) -> str:
    """Return the interface that has `address`, such as eth0; empty if none has, or if it is no address."""
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return ""
    for name, found in psutil.net_if_addrs().items():
        for one in found:
            is_ip = one.family in {socket.AF_INET, socket.AF_INET6}
            if is_ip and ipaddress.ip_address(one.address.partition("%")[0]) == wanted:
                return name
    return ""
