"""What `ray start` calls before it starts anything (RAY_START_HOOK): keeps shut what no option of Ray's shuts.

It runs inside Ray's own program, so it imports nothing but what Python itself has (ADR 0019).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

# How the head learns the name and the password for its Redis: no list of processes shows an environment.
USER, PASSWORD = "LEPTON_REDIS_USER", "LEPTON_REDIS_PASSWORD"


class _Parameters(Protocol):
    ray_client_server_port: int | None
    redis_username: str
    redis_password: str


def close_doors(parameters: _Parameters, _is_head: bool) -> None:
    """Have Ray start as if it were installed without its dashboard: no dashboard, no agent with ports, no Ray Client.

    With `ray[default]` installed, Ray would serve metrics to everybody, and an agent whose HTTP port takes jobs from
    whoever has the token, in plain text.
    """
    sys.modules["ray.dashboard.optional_deps"] = None  # type: ignore[assignment]
    parameters.ray_client_server_port = None
    user, password = os.environ.pop(USER, ""), os.environ.pop(PASSWORD, "")  # what Ray starts shall not inherit them
    if password:
        parameters.redis_username, parameters.redis_password = user, password
        _hide(password, sys.modules["ray._private.services"])


def _hide(password: str, services: Any) -> None:
    """Have Ray's server read the password from its environment, where Ray itself would write it into its arguments.

    `--fromenv` is of gflags, which Ray's servers read their arguments with: https://gflags.github.io/gflags/#special
    """
    start: Callable[..., Any] = services.start_ray_process
    flag = "--redis_password="

    def start_in_private(command: Sequence[str], *positional: Any, **named: Any) -> Any:
        shown = [word for word in command if not word.startswith(flag)]
        if len(shown) < len(command):
            shown.append("--fromenv=redis_password")
            named["env_updates"] = {**(named.get("env_updates") or {}), "FLAGS_redis_password": password}
        return start(shown, *positional, **named)

    services.start_ray_process = start_in_private
