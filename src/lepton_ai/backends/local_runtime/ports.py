"""Picks free ports for replicas that listen, and for gangs to meet at."""

from __future__ import annotations

import random
import socket
from collections import deque

from lepton_ai.errors import Unavailable

# Below 32768, where Linux begins to hand out ports to outgoing connections: a port that is free now stays free until
# the replica binds it, unless somebody asks for this very number.
FIRST, LAST = 20_000, 32_000
TRIES = 200
LENT_MAX = 256  # ports named to gangs lately: more than can be between being named and being bound


class Ports:
    """The ports that replicas of this runtime hold."""

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._lent: deque[int] = deque(maxlen=LENT_MAX)

    def take(self) -> int:
        """Return a port for one replica, until `give_back`; raises Unavailable."""
        port = self._find("127.0.0.1")
        self._held.add(port)
        return port

    def lend(self) -> int:
        """Return a port, free at all addresses of this machine, that nobody gives back; raises Unavailable.

        No other caller soon gets it: the next attempt of a gang meets elsewhere than the one before.
        """
        port = self._find("")
        self._lent.append(port)
        return port

    def hold(self, port: int) -> None:
        """Count `port` as taken by a replica that was adopted; 0 is no port."""
        if port:
            self._held.add(port)

    def give_back(self, port: int) -> None:
        """Count `port` as free again."""
        self._held.discard(port)

    def _find(self, address: str) -> int:
        for _ in range(TRIES):
            port = random.randint(FIRST, LAST)  # noqa: S311 - nothing depends on nobody guessing it
            if port not in self._held and port not in self._lent and is_free(address, port):
                return port
        raise Unavailable(f"{TRIES} ports between {FIRST} and {LAST} were all in use.", hint="Stop what holds them.")


def is_free(address: str, port: int) -> bool:
    """Tell whether nothing listens on `port` at `address`; at any address of this machine, if that is empty."""
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
