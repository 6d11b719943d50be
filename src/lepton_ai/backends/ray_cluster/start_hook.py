"""What `ray start` calls before it starts anything (RAY_START_HOOK): keeps shut what no option of Ray's shuts.

It runs inside Ray's own program, so it imports nothing (ADR 0019).
"""

from __future__ import annotations

import sys
from typing import Protocol


class _Parameters(Protocol):
    ray_client_server_port: int | None


def close_doors(parameters: _Parameters, _is_head: bool) -> None:
    """Have Ray start as if it were installed without its dashboard: no dashboard, no agent with ports, no Ray Client.

    With `ray[default]` installed, Ray would serve metrics to everybody, and an agent whose HTTP port takes jobs from
    whoever has the token, in plain text.
    """
    sys.modules["ray.dashboard.optional_deps"] = None  # type: ignore[assignment]
    parameters.ray_client_server_port = None
