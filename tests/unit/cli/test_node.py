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


@pytest.mark.parametrize(
    ("verb", "wanted"),
    [("cordon", {"cordoned": True}), ("uncordon", {"cordoned": False, "drain_by": None})],
)
def test_cordoning_changes_the_spec(platform: FakePlatform, verb: str, wanted: dict[str, Any]) -> None:
    is_cordoned = wanted["cordoned"]
    platform.on("PATCH", f"{NODES}/vm", ok(node(cordoned=is_cordoned)))
    assert run(platform, "node", verb, "vm").exit_code == 0
    assert platform.bodies("PATCH", f"{NODES}/vm") == [{"spec": wanted}]
    assert printed(run(platform, "node", verb, "vm", "-o", "json"))["spec"]["cordoned"] is is_cordoned


def drained(code: str, sentence: str, *, is_wanted: bool = False) -> dict[str, Any]:
    made = node(cordoned=True)
    made["spec"]["drain_by"] = None if is_wanted else "2026-11-24T12:00:00Z"
    made["status"]["reason"] = {"code": code, "sentence": sentence}
    return made


def test_draining_is_waited_for_and_says_so_at_the_end(platform: FakePlatform) -> None:
    platform.on("POST", f"{NODES}/vm/drain", ok(drained("draining", "1 task leaves it.")))
    platform.on("GET", f"{NODES}/n1", ok(drained("drained", "It is drained.")))
    done = run(platform, "node", "drain", "vm", "--timeout", "10m")
    assert (done.exit_code, done.stdout) == (0, "Node vm: It is drained.\n")
    assert "Node vm is draining: 1 task leaves it." in done.stderr
    assert platform.bodies("POST", f"{NODES}/vm/drain") == [{"seconds": 600.0}]


def test_a_drain_that_was_taken_back_meanwhile_is_no_success(platform: FakePlatform) -> None:
    platform.on("POST", f"{NODES}/vm/drain", ok(drained("draining", "1 task leaves it.")))
    platform.on("GET", f"{NODES}/n1", ok(drained("", "", is_wanted=True)))
    assert run(platform, "node", "drain", "vm").exit_code == 1


def test_draining_need_not_be_waited_for(platform: FakePlatform) -> None:
    platform.on("POST", f"{NODES}/vm/drain", ok(drained("", "")))
    platform.on("GET", NODES, page(drained("draining", "1 task leaves it.")))
    assert run(platform, "node", "drain", "vm", "--no-wait").exit_code == 0
    assert "ready, draining" in run(platform, "node", "list").stdout


def test_labels_are_set_and_dropped_in_one_go(platform: FakePlatform) -> None:
    platform.on("PATCH", f"{NODES}/vm", ok({**node(), "metadata": {"name": "vm", "labels": {"site": "berlin"}}}))
    done = run(platform, "node", "label", "vm", "site=berlin", "rack-")
    assert done.stdout == "Node vm has site=berlin.\n"
    assert platform.bodies("PATCH", f"{NODES}/vm") == [{"metadata": {"labels": {"site": "berlin", "rack": None}}}]


def test_a_label_without_a_value_is_a_wrong_usage(platform: FakePlatform) -> None:
    assert run(platform, "node", "label", "vm", "berlin").exit_code == 2
