"""MIG instances, as NVML tells of them, are size classes of their own: asked for, scheduled and explained."""

from __future__ import annotations

import pytest

from lepton_ai.kernel.scheduling.explain import explain
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import Demand, DeviceView, Expectation, NodeView, Snapshot, WaitingTask
from lepton_ai.node.hardware.nvidia import DETECTOR
from lepton_ai.node.hardware.nvml import NvmlDevice, NvmlSlice
from lepton_ai.types.explanation import Explanation
from lepton_ai.types.resources import Resources
from tests.unit.kernel.scheduling.worlds import GB, NOW
from tests.unit.node.hardware.captured import CapturedNvml, CapturedProbe, pci_files

MIB = 2**20
PROFILES = (("3g.40gb", 40_448), ("1g.10gb", 9_856), ("1g.10gb", 9_856))


def divided(name: str) -> NodeView:
    """Return a node with one H100 that NVML tells is divided into three."""
    slices = tuple(
        NvmlSlice(f"MIG-{at}", f"NVIDIA H100 80GB HBM3 MIG {profile}", mib * MIB)
        for at, (profile, mib) in enumerate(PROFILES)
    )
    gpu = NvmlDevice(0, "GPU-5c1d", "NVIDIA H100 80GB HBM3", 81_559 * MIB, "00000000:81:00.0", True, slices)
    files = pci_files("0000:81:00.0", "0x10de", "0x2330", "0x030200")
    found = DETECTOR.detect(CapturedProbe(files=files, library=CapturedNvml((gpu,)))).devices
    devices = tuple(DeviceView(one.id, one.kind, one.memory_bytes, one.share_milli) for one in found)
    return NodeView(name, "cpu-avx2", 16_000, 64 * GB, devices)


def asking(text: str, number: int = 0) -> WaitingTask:
    demand = Demand(1000, GB, Resources(accelerator=text).accelerator)
    return WaitingTask(f"t{number}", f"t{number}", demand, 1.0, NOW, {"": Expectation(60.0, 90.0, "stated")})


def explained(text: str) -> Explanation:
    snapshot = Snapshot(NOW, (divided("a"),), (asking(text),), ())
    return explain("t0", snapshot, schedule(snapshot))


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("mig-1g.10gb:1", {"MIG-1", "MIG-2"}),
        ("mig-3g.40gb:1", {"MIG-0"}),
        ("a100-mig|h100-mig:1", {"MIG-0", "MIG-1", "MIG-2"}),
        ("24GB..60GB:1", {"MIG-0"}),
        ("mig-1g.10gb:0.5", {"MIG-1", "MIG-2"}),
    ],
)
def test_an_instance_is_given_to_who_asks_for_its_kind_or_its_size(text: str, held: set[str]) -> None:
    plan = schedule(Snapshot(NOW, (divided("a"),), (asking(text),), ()))
    assert {share.device_id for part in plan.placements[0].allocations for share in part.devices} <= held


def test_instances_run_out_and_the_next_waits() -> None:
    tasks = tuple(asking("mig-1g.10gb:1", number) for number in range(3))
    plan = schedule(Snapshot(NOW, (divided("a"),), tasks, ()))
    assert (len(plan.placements), len(plan.waits)) == (2, 1)
    assert "mig-1g.10gb" in plan.waits[0].sentence


def test_an_instance_is_explained_by_its_class() -> None:
    assert explained("mig-1g.10gb:1").resource_class == "nvidia-h100-80gb-mig-1g.10gb"
    assert {one.resource_class for one in explained("h100-mig:1").candidates} == {
        "nvidia-h100-80gb-mig-1g.10gb", "nvidia-h100-80gb-mig-3g.40gb",
    }  # fmt: skip


def test_who_asks_for_a_whole_device_gets_no_part_and_is_told_how_to_ask_for_one() -> None:
    told = explained("h100:1")
    assert told.reason.code == "no_such_device"
    assert "parts of h100 are asked for as h100-mig" in told.reason.sentence


def test_whole_devices_and_parts_stand_side_by_side() -> None:
    whole = NodeView("b", "cpu-avx2", 16_000, 64 * GB, (DeviceView("GPU-1", "nvidia-h100-80gb", 80 * GB),))
    snapshot = Snapshot(NOW, (divided("a"), whole), (asking("h100:1"), asking("mig:1", 1)), ())
    nodes = {one.task_id: one.allocations[0].node for one in schedule(snapshot).placements}
    assert nodes == {"t0": "b", "t1": "a"}
