"""The address that a machine's cluster uses: one that the other machines reach it by."""

from __future__ import annotations

import ipaddress
import socket

import psutil

from lepton_ai.errors import InvalidInput

# Documentation's own network (RFC 5737): the question is only by which of our addresses it would be left for.
SOMEWHERE = ("192.0.2.1", 9)


def address_towards(host: str, port: int) -> str:
    """Return our own address on the way to `host`; empty if there is no way. Nothing is sent."""
    try:
        family, kind, proto, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def own_address(wanted: str = "") -> str:
    """Return the address for the cluster: `wanted` if it is one, else the one that this machine reaches others by.

    Raises InvalidInput if `wanted` is no address of this machine's, or if there is none but loopback.
    """
    ours = [each.address.partition("%")[0] for all_of_one in psutil.net_if_addrs().values() for each in all_of_one]
    reachable = [address for address in ours if _is_reachable(address)]
    known = ", ".join(sorted(reachable)) or "none but loopback"
    if wanted and wanted not in reachable:
        raise InvalidInput(
            f"{wanted[:80]!r} is no address of this machine that others can reach it by; it has {known}.",
            hint="Name one of them: --address IP",
        )
    found = wanted or address_towards(*SOMEWHERE)
    if found in reachable:
        return found
    if len(reachable) == 1:
        return reachable[0]
    raise InvalidInput(
        f"Which address shall other machines reach this one by? It has {known}.", hint="Name it: --address IP"
    )


def _is_reachable(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False  # a network card's own number
    return not (found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast)
