"""Memory that processes which are not ours use is promised to nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lepton_ai.kernel.foreign_use import ForeignUse
from lepton_ai.kernel.queue import SnapshotBuilder
from lepton_ai.kernel.runtime import NodeObservation
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import Expectation
from lepton_ai.testing.machines import machine
from lepton_ai.testing.platform import SETTINGS
from lepton_ai.types.base import Metadata
from lepton_ai.types.node import Device, DeviceUse, Node, NodeStatus, NodeUse
from lepton_ai.types.resources import Allocation, DeviceShare, Resources
from lepton_ai.types.task import Task, TaskState
from tests.unit.kernel.samples import NODE, later, task

GB = 10**9
GPU = Device(id="gpu-0", index=0, vendor="nvidia", kind="nvidia-h100-80gb", model="H100", memory_bytes=80 * GB)
HARDWARE = machine(NODE).hardware.replace(memory_bytes=32 * GB, devices=(GPU,))


def observed(used: int, on_device: int = -1) -> NodeObservation:
    use = NodeUse(memory_used_bytes=used, devices=(DeviceUse(device_id="gpu-0", memory_used_bytes=on_device),))
    return NodeObservation(NODE, "10.0.0.1", HARDWARE, use, "simulated")


def running(memory: int, *devices: DeviceShare) -> Task:
    held = Allocation(0, NODE, 1000, memory, "cpu-avx2", devices)
    return task(state=TaskState.RUNNING).with_status(allocations=(held,))


def test_what_is_used_beyond_what_our_tasks_may_use_is_foreign() -> None:
    foreign = ForeignUse()
    foreign.note([observed(20 * GB)], [running(8 * GB)], later(0))
    assert foreign.of(NODE) == 12 * GB
    assert foreign.of("elsewhere") == 0


def test_memory_that_our_own_tasks_use_is_not_foreign() -> None:
    foreign = ForeignUse()
    foreign.note([observed(8 * GB)], [running(8 * GB)], later(0))
    assert foreign.of(NODE) == 0


def test_a_task_that_has_just_ended_is_not_taken_for_foreign() -> None:
    foreign = ForeignUse()
    foreign.note([observed(20 * GB)], [running(20 * GB)], later(0))
    foreign.note([observed(20 * GB)], [], later(3))  # its memory is still in the sample
    foreign.note([observed(0)], [], later(6))
    assert foreign.of(NODE) == 0


def test_what_stays_for_a_minute_is_foreign_and_what_goes_is_free_at_once() -> None:
    foreign = ForeignUse()
    foreign.note([observed(0)], [], later(0))
    found = []
    for seconds in range(3, 90, 3):
        foreign.note([observed(16 * GB)], [], later(seconds))
        found.append(foreign.of(NODE))
    foreign.note([observed(0)], [], later(90))
    assert (found[0], found[-1], foreign.of(NODE)) == (0, 16 * GB, 0)


def test_small_changes_change_nothing() -> None:
    foreign = ForeignUse()
    foreign.note([observed(10 * GB)], [], later(0))
    before = foreign.of(NODE)
    foreign.note([observed(10 * GB - GB // 2)], [], later(3))
    assert foreign.of(NODE) == before == 10 * GB


def test_a_device_that_nobody_of_ours_holds_is_used_by_others() -> None:
    foreign, ours = ForeignUse(), ForeignUse()
    foreign.note([observed(0, on_device=50 * GB)], [], later(0))
    ours.note([observed(0, on_device=50 * GB)], [running(GB, DeviceShare("gpu-0"))], later(0))
    assert (foreign.of(NODE, "gpu-0"), ours.of(NODE, "gpu-0")) == (50 * GB, 0)


@pytest.mark.parametrize("unknown", [-1, 0])
def test_what_no_driver_tells_counts_as_nothing(unknown: int) -> None:
    foreign = ForeignUse()
    foreign.note([observed(unknown, on_device=unknown)], [], later(0))
    assert (foreign.of(NODE), foreign.of(NODE, "gpu-0")) == (0, 0)


def test_a_node_that_is_gone_is_forgotten() -> None:
    foreign = ForeignUse()
    foreign.note([observed(20 * GB)], [], later(0))
    foreign.note([], [], later(3))
    assert foreign.of(NODE) == 0


def test_a_task_is_not_placed_where_others_use_the_memory_and_is_told_so() -> None:
    builder = SnapshotBuilder(SETTINGS, lambda _task: {"": Expectation(60.0, 120.0, "guessed")})
    node = Node(metadata=Metadata(id="n1", name=NODE), status=NodeStatus(hardware=HARDWARE))
    waits = task(resources=Resources(memory=16 * GB))
    before = schedule(builder.build([node], [waits], later(0)))
    builder.foreign.note([observed(24 * GB)], [], later(0))
    snapshot = builder.build([node], [waits], later(0))
    after = schedule(snapshot)
    assert len(before.placements) == 1
    assert [wait.sentence for wait in after.waits] == [
        "needs 16.0 GB of memory on one node; the largest has 8.0 GB "
        "(24.0 GB are used by processes that are not ours): it waits until a larger node joins"
    ]
    assert snapshot.nodes[0] == replace(snapshot.nodes[0], memory_bytes=8 * GB, foreign_bytes=24 * GB)
