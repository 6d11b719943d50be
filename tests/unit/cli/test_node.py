"""`lepton node`: what it asks of the platform, and what it prints."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.program import printed, rows, run
from tests.unit.sdk.fake_platform import FakePlatform, ok, page

NODES = "/api/v1/nodes"


def node(*, cordoned: bool = False, hardware: dict[str, Any] | None = None) -> dict[str, Any]:
    status = {"state": "ready", "limits": "cgroup-v2: memory", "hardware": hardware}
    return {"kind": "node", "metadata": {"id": "n1", "name": "vm"}, "spec": {"cordoned": cordoned}, "status": status}


HARDWARE = {
    "cpu_model": "Some CPU", "architecture": "x86_64", "sockets": 1, "cores": 2, "threads": 4,
    "instruction_sets": ["avx2"], "memory_bytes": 8_000_000_000, "cpu_class": "cpu-avx2",
    "disks": [{"mount": "/", "device": "/dev/sda", "total_bytes": 10**12, "free_bytes": 5 * 10**11}],
    "devices": [
        {"id": "g0", "index": 0, "vendor": "nvidia", "kind": "nvidia-h100-80gb", "model": "H100", "memory_bytes": 8}
    ],
    "unprobed": [{"vendor": "amd", "where": "0000:01", "why": "no driver", "hint": "Install it."}],
}  # fmt: skip


def test_the_table_shows_what_a_machine_offers(platform: FakePlatform) -> None:
    platform.on("GET", NODES, page(node(hardware=HARDWARE)))
    shown = run(platform, "node", "list").stdout
    assert "nvidia-h100-80gb" in " ".join(shown.split())
    assert "8.0 GB" in shown


def test_a_machine_whose_hardware_is_not_known_yet_is_listed(platform: FakePlatform) -> None:
    platform.on("GET", NODES, page(node()))
    assert rows(run(platform, "node", "list"))[1][:3] == ["vm", "ready", "-"]


def test_one_machine_shows_every_device_and_what_cannot_be_used(platform: FakePlatform) -> None:
    platform.on("GET", f"{NODES}/vm", ok(node(hardware=HARDWARE, cordoned=True)))
    shown = run(platform, "node", "show", "vm").stdout
    assert "ready, cordoned" in shown
    assert "H100 (nvidia-h100-80gb)" in shown
    assert "amd at 0000:01: no driver Install it." in shown
    assert "/ (/dev/sda): 500 GB of 1.0 TB free" in shown


@pytest.mark.parametrize(("verb", "is_cordoned"), [("cordon", True), ("uncordon", False)])
def test_cordoning_changes_the_spec(platform: FakePlatform, verb: str, *, is_cordoned: bool) -> None:
    platform.on("PATCH", f"{NODES}/vm", ok(node(cordoned=is_cordoned)))
    assert run(platform, "node", verb, "vm").exit_code == 0
    assert platform.bodies("PATCH", f"{NODES}/vm") == [{"spec": {"cordoned": is_cordoned}}]
    assert printed(run(platform, "node", verb, "vm", "-o", "json"))["spec"]["cordoned"] is is_cordoned


def test_labels_are_set_and_dropped_in_one_go(platform: FakePlatform) -> None:
    platform.on("PATCH", f"{NODES}/vm", ok({**node(), "metadata": {"name": "vm", "labels": {"site": "berlin"}}}))
    done = run(platform, "node", "label", "vm", "site=berlin", "rack-")
    assert done.stdout == "Node vm has site=berlin.\n"
    assert platform.bodies("PATCH", f"{NODES}/vm") == [{"metadata": {"labels": {"site": "berlin", "rack": None}}}]


def test_a_label_without_a_value_is_a_wrong_usage(platform: FakePlatform) -> None:
    assert run(platform, "node", "label", "vm", "berlin").exit_code == 2
