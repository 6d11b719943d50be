"""Starts and ends what runs on a machine that has joined: Ray once under our eyes, then the agent that keeps it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil

from lepton_ai.agent.work import connect, keeper_of
from lepton_ai.backends.ray_cluster.doors import Finding
from lepton_ai.backends.ray_cluster.node_door import NodeDoorProcess
from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.backends.ray_cluster.process import RayProcess, check_installed
from lepton_ai.errors import Forbidden, NotFound, StorageFailed, TimedOut, Unauthenticated, Unavailable
from lepton_ai.node.hardware import detect_hardware
from lepton_ai.sdk.connection import Call

AGENT_MODULE = "lepton_ai.agent"
END_SECONDS_MAX = 15.0
POLL_SECONDS = 0.05


def start_ray(place: ClusterPlace, seconds_max: float) -> Sequence[Finding]:
    """Start Ray unless it runs, and return what a stranger finds at its doors; raises as `RayKeeper.start` does."""
    check_installed()
    keeper = keeper_of(place, place.recall(), detect_hardware(home=place.home))
    return keeper.ensure(seconds_max)


def start_agent(place: ClusterPlace) -> int:
    """Start the agent in the background unless it runs; return its process id. Raises StorageFailed."""
    running = agent_of(place)
    if running is not None:
        return running.pid
    try:
        with os.fdopen(os.open(place.agent_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            started = subprocess.Popen(
                [sys.executable, "-m", AGENT_MODULE],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**os.environ, "LEPTON_HOME": str(place.home.absolute())},
                start_new_session=True,
            )
    except OSError as error:
        raise StorageFailed(f"The agent cannot be started: {error.strerror or error}.") from error
    return started.pid


def agent_of(place: ClusterPlace) -> psutil.Process | None:
    """Return the agent of this state folder, or None if it does not run."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int(place.agent_lock.read_text()))
        is_ours = AGENT_MODULE in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
        return process if is_ours else None
    return None


def leave(place: ClusterPlace, *, now: bool) -> bool:
    """Take this machine out of its cluster: tell the core, end agent and Ray, forget what joining gave us.

    Returns False if the core had removed it before. Raises Conflict while work runs here, unless `now`; and
    Unavailable if the core cannot be asked, unless `now`.
    """
    address = place.recall().address
    was_known = _tell(place, now=now)
    agent = agent_of(place)
    if agent is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            agent.send_signal(signal.SIGTERM)
        _wait_for_end(agent)
    RayProcess(place).stop()
    NodeDoorProcess(place, address).stop()
    for path in (place.joined, place.certificate, place.token, place.process):
        path.unlink(missing_ok=True)
    return was_known


def _tell(place: ClusterPlace, *, now: bool) -> bool:
    joined = place.recall()
    params = {"now": "true"} if now else {}
    try:
        connect(place, joined).send(Call("POST", f"/api/v1/cluster/nodes/{joined.name}/leave", params=params))
    except (Unauthenticated, Forbidden, NotFound):
        return False
    except Unavailable:
        if not now:
            raise
    return True


def _wait_for_end(process: psutil.Process) -> None:
    deadline = time.monotonic() + END_SECONDS_MAX
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            raise TimedOut(f"The agent (process {process.pid}) did not end within {END_SECONDS_MAX:.0f} s.")
        time.sleep(POLL_SECONDS)
