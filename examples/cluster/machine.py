"""One machine of the demo: a network namespace with a state folder, on which `lepton` is run as a user would."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton_ai.testing.namespaces import Machine as Space

SECONDS_MAX = 120.0


@dataclass(frozen=True)
class Machine:
    """A machine by its name as a node."""

    name: str
    space: Space
    home: Path

    @property
    def url(self) -> str:
        """Where the core is, on the machine that has it."""
        return f"https://{self.space.address}:8443"

    def show(self, *words: str, **env: str) -> None:
        """Run a `lepton` command here, in front of the user's eyes; its failure ends the demo."""
        print(f"\n{self.name}$ lepton {' '.join(words)}", flush=True)
        lepton = str(Path(sys.executable).with_name("lepton"))
        command = self.space.words([lepton, *words])
        try:
            subprocess.run(command, env=self._env(env), stdin=subprocess.DEVNULL, check=True, timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            sys.exit(f"Error: lepton {words[0]} took more than {SECONDS_MAX:.0f} s on {self.name}.")
        except subprocess.CalledProcessError as error:
            sys.exit(f"Error: lepton {words[0]} ended with exit code {error.returncode} on {self.name}.")

    def told(self, *words: str) -> Any:
        """Return what a command that must succeed prints as JSON."""
        return json.loads(self._python("-m", "lepton_ai.cli.main", *words, "--output", "json"))

    def states(self) -> Mapping[str, str]:
        """Return the states of the nodes by name."""
        return {node["metadata"]["name"]: node["status"]["state"] for node in self.told("node", "list")}

    def state_of(self, job: str) -> str:
        """Return the state of a job."""
        return str(self.told("job", "get", job)["status"]["state"])

    def nodes_of(self, job: str) -> list[str]:
        """Return the nodes that a job runs on."""
        return sorted({replica["node"] for replica in self.told("job", "get", job)["status"]["replicas"]})

    def runs_without(self, job: str, node: str) -> bool:
        """Tell whether a job runs, and not on that node."""
        return self.state_of(job) == "running" and node not in self.nodes_of(job)

    def replicas_of(self, endpoint: str) -> list[str]:
        """Return the nodes on which an endpoint's ready replicas are."""
        replicas = self.told("endpoint", "get", endpoint)["status"]["replicas"]
        return sorted(replica["node"] for replica in replicas if replica["state"] == "running")

    @contextlib.contextmanager
    def beside(self, *words: str, **env: str) -> Iterator[subprocess.Popen[str]]:
        """Run a program of this folder here while something else goes on."""
        command = self.space.words([sys.executable, str(Path(__file__).with_name(words[0])), *words[1:]])
        process = subprocess.Popen(
            command, env=self._env(env), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Cut the machine off and kill everything on it, as a power cut would."""
        self.space.unplug()
        self.space.end_all()

    def switch_on(self) -> None:
        """Give the machine its network back; nothing runs there yet."""
        self.space.plug_in()

    def _python(self, *words: str) -> str:
        done = self.space.run([sys.executable, *words], self._env({}), seconds_max=SECONDS_MAX)
        if done.returncode != 0:
            sys.exit(f"Error: on {self.name}: {done.stderr.strip()}")
        return done.stdout

    def _env(self, more: Mapping[str, str]) -> dict[str, str]:
        # Nothing of the user's own: an instance or a token in the environment would be used instead.
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LEPTON_", "RAY_"))}
        return {**clean, "LEPTON_HOME": str(self.home), **more}
