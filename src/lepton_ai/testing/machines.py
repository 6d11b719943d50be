"""Imagined hardware: nodes of several sizes, some with accelerators."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from lepton_ai.testing.runtime import FakeNode
from lepton_ai.types.node import Device, Hardware

GB = 10**9
KINDS = ("nvidia-h100-80gb", "amd-mi300x-192gb", "tpu-v5e")
DEVICE_BYTES = 80 * GB
NODES_MAX = 4


def machine(name: str, threads: int = 4, memory_gb: int = 16, devices: int = 0, kind: str = KINDS[0]) -> FakeNode:
    """Return a node of that size."""
    return FakeNode(
        name,
        Hardware(
            cpu_model="Imagined 9000",
            architecture="x86_64",
            sockets=1,
            cores=threads,
            threads=threads,
            instruction_sets=("avx2",),
            memory_bytes=memory_gb * GB,
            devices=tuple(_device(name, index, kind) for index in range(devices)),
            cpu_class="cpu-avx2",
        ),
    )


def random_machines(random: Random) -> Sequence[FakeNode]:
    """Return one to four nodes, about half of them with accelerators."""
    return [
        machine(
            f"node-{number}",
            threads=random.choice((1, 2, 2, 4, 8)),  # mostly small: only full machines can be overcommitted
            memory_gb=random.choice((8, 8, 16)),
            devices=random.choice((0, 0, 1, 2, 4)),
            kind=random.choice(KINDS),
        )
        for number in range(1, random.randint(1, NODES_MAX) + 1)
    ]


def _device(node: str, index: int, kind: str) -> Device:
    vendor = kind.split("-", maxsplit=1)[0]
    return Device(
        id=f"{node}-device-{index}",
        index=index,
        vendor=vendor,
        kind=kind,
        model=kind,
        memory_bytes=DEVICE_BYTES,
        environment=(("CUDA_VISIBLE_DEVICES", str(index)),),
    )
