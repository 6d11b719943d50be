"""The command line of Ray says what the machine has, and opens nothing that can be left shut."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

from lepton_ai.backends.ray_cluster.command import head_command, node_command
from lepton_ai.backends.ray_cluster.start_hook import close_doors
from lepton_ai.testing.machines import machine

HARDWARE = machine("n", threads=8, devices=2).hardware
FOLDER = Path("/tmp/r")


def value(command: Sequence[str], option: str) -> str:
    return command[list(command).index(option) + 1]


def test_a_node_declares_its_threads_memory_devices_and_name() -> None:
    command = node_command("beta", "10.0.0.2", "10.0.0.1:6379", HARDWARE, FOLDER)
    said = [value(command, f"--{option}") for option in ("num-cpus", "num-gpus", "memory", "labels", "address")]
    assert said == ["8", "2", str(HARDWARE.memory_bytes), "lepton.ai/node=beta", "10.0.0.1:6379"]
    assert json.loads(value(command, "--resources")) == {"nvidia-h100-80gb": 2.0}


def test_the_head_has_neither_dashboard_nor_autoscaler() -> None:
    command = head_command("alpha", "10.0.0.1", 6379, HARDWARE, FOLDER)
    assert (value(command, "--include-dashboard"), value(command, "--port")) == ("false", "6379")
    assert {"--head", "--no-monitor"} <= set(command)


def test_the_hook_has_ray_start_as_if_its_dashboard_were_not_installed() -> None:
    parameters = SimpleNamespace(ray_client_server_port=10001)
    before = dict(sys.modules)
    close_doors(parameters, True)
    after = {name: module for name, module in sys.modules.items() if name not in before}
    for name in after:
        del sys.modules[name]
    assert {name: str(module) for name, module in after.items()} == {"ray.dashboard.optional_deps": "None"}
    assert parameters.ray_client_server_port is None
