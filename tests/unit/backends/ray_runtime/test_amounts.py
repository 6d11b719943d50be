"""What nodes and allocations amount to in Ray's resources, and how a difference is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.backends.ray_runtime.amounts import Drift, bundle, declared, drifts
from lepton_ai.types.node import Device, Hardware
from lepton_ai.types.resources import Allocation, DeviceShare

H100, OTHER_H100 = (
    Device(id=f"GPU-{number}", index=number, vendor="nvidia", kind="nvidia-h100-80gb", model="H100")
    for number in range(2)
)
TPU = Device(id="tpu-0", index=0, vendor="google", kind="tpu-v5e", model="TPU v5e")
HARDWARE = Hardware(
    cpu_model="",
    architecture="",
    sockets=1,
    cores=8,
    threads=16,
    instruction_sets=(),
    memory_bytes=64 * 10**9,
    devices=(H100, OTHER_H100, TPU),
)


def held(cpu_milli: int, memory_bytes: int, *shares: DeviceShare) -> Allocation:
    return Allocation(0, "here", cpu_milli, memory_bytes, "cpu", shares)


def test_a_node_declares_its_threads_memory_and_kinds_and_its_gpus_as_ray_counts_them() -> None:
    assert declared(HARDWARE) == {"CPU": 16.0, "memory": 64e9, "nvidia-h100-80gb": 2.0, "GPU": 2.0, "tpu-v5e": 1.0}


def test_a_replica_takes_the_shares_that_it_holds() -> None:
    amounts = bundle(held(1500, 10**9, DeviceShare("GPU-0", 250), DeviceShare("tpu-0")), HARDWARE)

    assert amounts == {"CPU": 1.5, "memory": 1e9, "nvidia-h100-80gb": 0.25, "GPU": 0.25, "tpu-v5e": 1.0}


def test_a_device_that_went_away_counts_for_nothing() -> None:
    assert bundle(held(1000, 10**9, DeviceShare("GPU-9")), HARDWARE) == {"CPU": 1.0, "memory": 1e9}


def test_a_difference_names_the_node_the_resource_and_both_amounts() -> None:
    total = {**declared(HARDWARE), "node:10.0.0.1": 1.0, "object_store_memory": 1e9}
    free = {**total, "CPU": 12.0, "object_store_memory": 5.0}

    [drift] = drifts("here", [bundle(held(1000, 10**9), None), {"memory": -1e9}], total, free)

    assert drift == Drift("here", "CPU", 1.0, 4.0)
    assert drift.sentence() == "On here Ray counts 4 CPU as taken, the platform 1."


@given(st.lists(st.tuples(st.integers(1, 16_000), st.integers(1, 2**40), st.integers(1, 1000)), max_size=20))
def test_books_that_ray_keeps_of_our_own_bundles_never_drift(amounts: list[tuple[int, int, int]]) -> None:
    bundles = [bundle(held(cpu, memory, DeviceShare("GPU-0", share)), HARDWARE) for cpu, memory, share in amounts]
    total = {"CPU": 1e6, "memory": 2.0**50, "GPU": 1e3, "nvidia-h100-80gb": 1e3, "tpu-v5e": 1.0}

    free = {name: amount - sum(one.get(name, 0.0) for one in bundles) for name, amount in total.items()}

    assert drifts("here", bundles, total, free) == []
