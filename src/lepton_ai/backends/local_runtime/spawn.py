"""Starts a supervisor: puts the launch into memory, the environment together, and lets go of the process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lepton_ai.errors import Unavailable
from lepton_ai.kernel.runtime import ReplicaOrder
from lepton_ai.node import supervisor
from lepton_ai.node.leftovers import FOLDER_VARIABLE
from lepton_ai.node.limits import LimitPlan
from lepton_ai.node.replica_folder import Facts
from lepton_ai.node.supervisor import records
from lepton_ai.node.supervisor.launch import LAUNCH_FD, STATUS_FD, Launch
from lepton_ai.types.checkpoint import DIRECTORY_VARIABLE

SUPERVISOR = str(Path(supervisor.__file__).with_name("__main__.py"))
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Spawned:
    """A supervisor that was started: its number, a pidfd, and the pipe on which it tells that the command runs."""

    pid: int
    pidfd: int
    status_fd: int


@dataclass(frozen=True, slots=True)
class Setting:
    """Where one replica will run; `prepared` names its prepared working directory in `folder`, or is empty."""

    folder: Path
    port: int
    plan: LimitPlan
    prepared: str
    bin_folder: Path | None  # of its virtual environment
    log_bytes_max: int
    leash: int = 0  # the process with which the replica ends, if there is one
    interface: str = ""  # the network interface by which the other nodes reach this one


def build_launch(order: ReplicaOrder, setting: Setting) -> Launch:
    """Return everything that the supervisor needs to run `order`."""
    program, plan = order.program, setting.plan
    return Launch(
        {
            "replica_id": order.replica_id,
            "facts": facts_of(order, setting).to_json(),
            "command": command_of(order, setting),
            "env": build_environment(order, setting),
            "prepared": setting.prepared,
            "timeout_seconds": program.timeout.total_seconds() if program.timeout else 0.0,
            "grace_seconds": program.grace.total_seconds(),
            "log_bytes_max": setting.log_bytes_max,
            "memory_bytes": order.allocation.memory_bytes,
            "groups": [(group.folder, list(group.settings), group.join) for group in plan.groups],
            "meters": dict(plan.meters),
            "watched_memory_bytes": plan.watched_memory_bytes,
            "watched_processes": plan.watched_processes,
            "rlimits": list(plan.rlimits),
            "leash": setting.leash,
        }
    )


def command_of(order: ReplicaOrder, setting: Setting) -> list[str]:
    """Return the command; `$PORT` and `${PORT}` stand for the port where the runtime picked one, as in a Procfile."""
    if not order.program.needs_port:
        return list(order.program.command)
    port = str(setting.port)
    return [word.replace("${PORT}", port).replace("$PORT", port) for word in order.program.command]


def facts_of(order: ReplicaOrder, setting: Setting) -> Facts:
    """Return what later cores need to know of the replica."""
    groups = tuple(group.folder for group in setting.plan.groups)
    return Facts(order.rank, setting.port, setting.plan.sentence, groups, setting.plan.meters)


def build_environment(order: ReplicaOrder, setting: Setting) -> dict[str, str]:
    """Return the replica's environment: a small base, then the order's own, then secrets; nothing else of the core's.

    The interpreter that runs the core comes first in PATH, so that `python` is the one that has Lepton AI installed.
    """
    work = setting.folder / records.WORK
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', SYSTEM_PATH)}",
        "HOME": str(work),
        "LANG": "C.UTF-8",
        "TMPDIR": str(setting.folder / records.TEMPORARY),
        "PYTHONUNBUFFERED": "1",
        **_interfaces(order, setting.interface),
        **order.env,
        **order.secrets,
        FOLDER_VARIABLE: str(setting.folder),
    }
    if order.program.checkpoint is not None:
        environment[DIRECTORY_VARIABLE] = str(work / order.program.checkpoint.folder)
    if setting.port:
        environment["PORT"] = str(setting.port)
    return _with_virtual_environment(environment, setting.bin_folder)


def _interfaces(order: ReplicaOrder, interface: str) -> dict[str, str]:
    """Return what keeps the ranks of a gang on the cluster's own network; left alone, each library picks one itself."""
    return dict.fromkeys(("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"), interface) if order.gang and interface else {}


def spawn(launch: Launch, folder: Path) -> Spawned:
    """Start a supervisor for `launch` in its own session, holding nothing of the core's; raises Unavailable."""
    opened: list[int] = []
    try:
        memory = os.memfd_create("lepton-launch")
        opened.append(memory)
        os.write(memory, launch.pack())
        status, tell = os.pipe()
        opened += [status, tell]
        pid = _posix_spawn(folder, memory, tell)
        pidfd = os.pidfd_open(pid)
        opened.remove(status)
    except OSError as error:
        raise Unavailable(
            f"A supervisor cannot be started: {error.strerror}.",
            hint="Free processes, memory or files; it is tried again.",
        ) from error
    finally:
        for fd in opened:
            os.close(fd)
    return Spawned(pid, pidfd, status)


def _posix_spawn(folder: Path, memory: int, tell: int) -> int:
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", SUPERVISOR, str(folder)],
        {},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, memory, LAUNCH_FD),
            (os.POSIX_SPAWN_DUP2, tell, STATUS_FD),
            (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_RDWR, 0),
        ],
        setsid=True,
        setsigmask=[signal.SIGTERM],  # Until it can listen, so that a stop that comes early waits rather than kills.
        setsigdef=[signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGHUP],
    )


def _with_virtual_environment(environment: Mapping[str, str], bin_folder: Path | None) -> dict[str, str]:
    if bin_folder is None:
        return dict(environment)
    path = f"{bin_folder}:{environment['PATH']}"
    return {**environment, "PATH": path, "VIRTUAL_ENV": str(bin_folder.parent)}
