"""A real Ray cluster on this machine: a head and two more raylets of unlike resources, which want a token of all."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from lepton_ai.backends.ray_runtime.address import RAY_SETTINGS, RayAddress
from lepton_ai.backends.ray_runtime.amounts import HARDWARE_FILE, NODE_LABEL, declared
from lepton_ai.node.replica_folder import ReplicaFolder
from lepton_ai.types.node import Device, Hardware

PATIENCE_SECONDS = 90.0
STARTED = "Ray runtime started."
SIMULATED = Device(id="sim-0", index=0, vendor="simulated", kind="simulated-x1", model="simulated accelerator")


def _hardware(threads: int, *devices: Device) -> Hardware:
    return Hardware(
        cpu_model="test",
        architecture="x86_64",
        sockets=1,
        cores=threads,
        threads=threads,
        instruction_sets=(),
        memory_bytes=64 * 2**30,  # more than this machine uses: what others use of a node is not given away
        devices=devices,
    )


NODES = {"alpha": _hardware(4), "beta": _hardware(2, SIMULATED), "gamma": _hardware(1)}


def entry(folder: Path) -> Mapping[str, str]:
    """Return the variables that let a process into the cluster in `folder`, after making its token if need be."""
    token = folder / "token"
    if not token.exists():
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        **RAY_SETTINGS,
    }


class LocalRayCluster:
    """The processes of the cluster. Each node has a state folder of its own below `folder`, whose path is short."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = _free_port()
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self.where = RayAddress(f"127.0.0.1:{self._port}", entry(folder))

    def start(self) -> None:
        """Start every node, and wait until each says that it runs."""
        for name in NODES:  # One by one: two raylets that start at once on a machine take the same socket.
            self.start_node(name)

    def start_node(self, name: str) -> None:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        (home / HARDWARE_FILE).write_text(NODES[name].model_dump_json())
        amounts = dict(declared(NODES[name]))
        cpus, memory = int(amounts.pop("CPU")), int(amounts.pop("memory"))
        head = ["--head", "--port", str(self._port), "--include-dashboard=false", "--temp-dir", str(self.folder / "s")]
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"),
            *(head if name == "alpha" else ["--address", self.where.address]),
            *("--num-cpus", str(cpus), "--memory", str(memory), "--resources", json.dumps(amounts)),
            *("--labels", f"{NODE_LABEL}={name}", "--object-store-memory", "80000000"),
        ]
        environment = {**os.environ, "LEPTON_HOME": str(home)}
        with (self.folder / f"{name}.out").open("wb") as output:
            self._started[name] = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self._wait_for_start(name)

    def agent(self, name: str) -> psutil.Process | None:
        """Return the process of a node's agent, if it runs."""
        for child in self.raylet(name).children():
            with contextlib.suppress(psutil.Error):  # it may end in between
                if "NodeAgent" in " ".join(child.cmdline()):
                    return child
        return None

    def supervisor(self, name: str, replica_id: str) -> int:
        claim = ReplicaFolder(self.folder / name / "runtime" / "replicas" / replica_id).claim()
        assert claim is not None
        return claim.pid

    def raylet(self, name: str) -> psutil.Process:
        """Return the raylet's process."""
        children = psutil.Process(self._started[name].pid).children(recursive=True)
        return next(child for child in children if child.name() == "raylet")

    def kill_node(self, name: str) -> None:
        """Kill the raylet of a node, as the end of the machine would; what else Ray runs there ends by itself."""
        self.raylet(name).kill()

    def stop(self) -> None:
        for name in reversed(list(self._started)):
            _end(self._started.pop(name))

    def _wait_for_start(self, name: str) -> None:
        output = self.folder / f"{name}.out"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while STARTED not in output.read_text(errors="replace"):
            assert self._started[name].poll() is None, output.read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, output.read_text(errors="replace")[-2000:]
            time.sleep(0.05)


def _end(started: subprocess.Popen[bytes]) -> None:
    """End a `ray start --block` and everything that it started: all of it is in the session that it began."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
