"""Where a Ray cluster is, and what a process needs in its environment to enter it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

# What makes a process a member of a secured cluster. Paths differ from node to node, so each agent hands on its own.
ENTRY_VARIABLES = (
    "RAY_USE_TLS",
    "RAY_TLS_SERVER_CERT",
    "RAY_TLS_SERVER_KEY",
    "RAY_TLS_CA_CERT",
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN_PATH",
)

# What each node's Ray is started with, the head's before all: Ray reads its settings from there.
RAY_SETTINGS: Mapping[str, str] = {
    # A raylet that was killed is noticed after four looks, a second apart and two seconds long: 12 s at most.
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "4",
}


@dataclass(frozen=True, slots=True)
class RayAddress:
    """A running cluster: `address` of its head as `host:port`, and the variables that let a process in."""

    address: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def enter(self) -> None:
        """Put the variables into this process's environment, before anything imports Ray: it reads them only then."""
        assert "ray" not in sys.modules or self.environment.items() <= os.environ.items(), "Ray was imported too early"
        os.environ.update(self.environment)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def entry_environment(address: str) -> dict[str, str]:
    """Return what a program on this node needs so that `ray.init()` finds the cluster that this process is in."""
    found = {name: os.environ[name] for name in ENTRY_VARIABLES if name in os.environ}
    return {"RAY_ADDRESS": address, "RAY_USAGE_STATS_ENABLED": "0", **found}
