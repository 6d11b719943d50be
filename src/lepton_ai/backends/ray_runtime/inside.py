"""Inside a replica: `ray.init()` joins the platform's cluster within the replica's own allocation.

Ray calls `enter` from `ray.init()` (RAY_RUNTIME_ENV_HOOK). A driver never belongs to a placement group in Ray, so its
tasks would run wherever there is room; here it is given the group that its allocation is, and captures its children.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

GROUP_VARIABLE = "LEPTON_RAY_GROUP"  # the placement group's id, in hexadecimal digits
HOOK = ("RAY_RUNTIME_ENV_HOOK", "lepton_ai.backends.ray_runtime.inside.enter")


def enter(runtime_env: dict[str, Any] | None) -> dict[str, Any] | None:
    """Put this process, which is about to become a driver, into its placement group; leave `runtime_env` as it is."""
    group = os.environ.get(GROUP_VARIABLE, "")
    if group:
        _enter(group)
    return runtime_env


def _enter(group: str) -> None:
    import ray
    from ray._private.worker import Worker
    from ray.actor import ActorClass
    from ray.remote_function import RemoteFunction

    group_id = ray.PlacementGroupID(bytes.fromhex(group))
    # Ray asks these two of every task and actor that is started without a strategy of its own. They are read from the
    # C++ worker, which has no setter for a driver's. tests/integration/ray_runtime notices if they ever move.
    Worker.placement_group_id = property(lambda _worker: group_id)
    Worker.should_capture_child_tasks_in_placement_group = property(lambda _worker: True)
    for kind in (RemoteFunction, ActorClass):
        kind._remote = _kept_inside(kind._remote)


def _kept_inside(start: Callable[..., Any]) -> Callable[..., Any]:
    """Have "SPREAD", which is what Ray Data asks for, and "DEFAULT" mean: over the bundles of the group."""

    @functools.wraps(start)
    def started(*args: Any, **options: Any) -> Any:
        if isinstance(options.get("scheduling_strategy"), str):
            options["scheduling_strategy"] = None
        return start(*args, **options)

    return started
