"""Pure: the command line that starts Ray on one machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lepton_ai.backends.ray_runtime.amounts import NODE_LABEL, declared
from lepton_ai.types.node import Hardware


def head_command(name: str, address: str, port: int, hardware: Hardware, folder: Path) -> Sequence[str]:
    """Return the command that starts the head of a cluster at `address`, with this machine's hardware."""
    # No dashboard, and no autoscaler: the platform decides which nodes there are.
    more = ("--head", "--port", str(port), "--include-dashboard", "false", "--no-monitor", "--disable-usage-stats")
    return [*_start(address, folder), *more, *_what_it_has(name, hardware)]


def node_command(name: str, address: str, head: str, hardware: Hardware, folder: Path) -> Sequence[str]:
    """Return the command that starts Ray at `address` as a node of the cluster whose head is at `head`."""
    return [*_start(address, folder), "--address", head, *_what_it_has(name, hardware)]


def _start(address: str, folder: Path) -> Sequence[str]:
    # `--block`: the process stays, watches the others, and takes them with it.
    ray = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block")
    return [*ray, "--node-ip-address", address, "--temp-dir", str(folder)]


def _what_it_has(name: str, hardware: Hardware) -> Sequence[str]:
    amounts = dict(declared(hardware))
    cpus, memory, gpus = int(amounts.pop("CPU")), int(amounts.pop("memory")), int(amounts.pop("GPU", 0))
    return [
        *("--num-cpus", str(cpus)),
        *("--num-gpus", str(gpus)),
        *("--memory", str(memory)),
        *("--resources", json.dumps(dict(sorted(amounts.items())))),
        *("--labels", f"{NODE_LABEL}={name}"),
    ]
