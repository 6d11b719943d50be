"""Machines in network namespaces, each with a state folder, on which `lepton` is run as a user would."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.backends.ray_cluster.process import RayProcess
from lepton_ai.testing.namespaces import Machine, machines

SECONDS_MAX = 150.0
# Asks at every port that is named, from the machine that it runs on.
KNOCK = """
import json, sys
from lepton_ai.backends.ray_cluster.doors import knock
print(json.dumps({port: knock(sys.argv[1], int(port)) for port in sys.argv[2:]}))
"""
# Lists them, which only a process of the same namespace can.
PORTS = """
import pathlib, sys
from lepton_ai.backends.ray_cluster.doors import listeners
from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.backends.ray_cluster.process import RayProcess
print(*[one.port for one in listeners(RayProcess(ClusterPlace(pathlib.Path(sys.argv[1]))).members())])
"""


@dataclass(frozen=True)
class Station:
    """One machine with its state folder."""

    machine: Machine
    home: Path
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> ClusterPlace:
        return ClusterPlace(self.home)

    @property
    def url(self) -> str:
        """Where the core is, on the machine that has it."""
        return f"https://{self.machine.address}:8443"

    @property
    def ray(self) -> RayProcess:
        return RayProcess(self.place)

    def ray_pid(self) -> int:
        """Return the process that all of Ray hangs on; 0 if it does not run."""
        found = self.ray.find()
        return found.pid if found else 0

    def lepton(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return self.python("-m", "lepton_ai.cli.main", *words, **env)

    def python(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run Python here to its end."""
        # Nothing of the developer's own: an instance or a token in the environment would be used instead.
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LEPTON_", "RAY_"))}
        whole = {**clean, "LEPTON_HOME": str(self.home), **self.env, **env}
        return self.machine.run([sys.executable, *words], whole, seconds_max=SECONDS_MAX)

    def told(self, *words: str) -> Any:
        """Return what a command that must succeed prints as JSON."""
        done = self.lepton(*words, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def ensure_joined(self, core: Station, *words: str) -> None:
        """Join the core's cluster, unless this machine is in it."""
        if not self.place.joined.exists():
            done = self.lepton("join", core.url, *words, LEPTON_JOIN_TOKEN=core.token())
            assert done.returncode == 0, done.stderr

    def nodes(self) -> Mapping[str, Any]:
        """Return the nodes by name."""
        return {node["metadata"]["name"]: node for node in self.told("node", "list")}

    def state_of(self, name: str) -> str:
        """Return a node's state, empty if there is no such node."""
        node = self.nodes().get(name)
        return str(node["status"]["state"]) if node else ""

    def is_answering(self) -> bool:
        """Tell whether the core here does."""
        return self.lepton("status").returncode == 0

    def job(self, name: str) -> tuple[str, int]:
        """Return a job's state, and which attempt of it that is."""
        status = self.told("job", "get", name)["status"]
        return status["state"], status["attempt"]

    def token(self) -> str:
        """Make a join token."""
        return str(self.told("node", "token")["token"])

    def ports(self) -> list[str]:
        """Return the ports that Ray's processes here listen on for others."""
        return self.python("-c", PORTS, str(self.home)).stdout.split()

    def knock_at(self, other: Station) -> Mapping[str, tuple[str, str]]:
        """Return what a stranger on this machine finds at each of Ray's ports there."""
        done = self.python("-c", KNOCK, other.machine.address, *other.ports())
        assert done.returncode == 0, done.stderr
        found: Mapping[str, tuple[str, str]] = json.loads(done.stdout)
        return found

    def process(self, word: str) -> psutil.Process:
        """Return the one process of this machine with `word` in its command line that is no child of such a one."""
        found = [process for process in map(_process, self.machine.pids()) if process and word in _line(process)]
        inner = {child.pid for process in found for child in process.children()}
        return next(process for process in found if process.pid not in inner)


@contextlib.contextmanager
def stations(count: int) -> Iterator[list[Station]]:
    """Give machines with empty state folders; whatever still runs on them is killed at the end."""
    with contextlib.ExitStack() as stack:
        # The folders' paths are short, so that Ray's sockets lie in them.
        folders = [stack.enter_context(tempfile.TemporaryDirectory(prefix="lep", dir="/tmp")) for _ in range(count)]
        made = stack.enter_context(machines(count))
        yield [Station(machine, Path(folder)) for machine, folder in zip(made, folders, strict=True)]


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
