"""What makers promise of their devices: peak compute and memory bandwidth, to guess how speeds compare.

Compute is dense 16-bit matrix arithmetic (bfloat16 where there is, else half precision, else 32 bits), without the
doubling that makers count for sparse matrices. CPUs are counted per core at 3 GHz and 5 GB/s, so that they compare with
one another but not with accelerators.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple


class Peak(NamedTuple):
    """`tflops` and `gigabytes_per_second` of a resource class whose name begins with `prefix`."""

    prefix: str
    tflops: float
    gigabytes_per_second: float
    source: str


_INTEL = "Intel 64 and IA-32 Architectures Optimization Reference Manual: two vector FMA units per core"
_ARM = "Arm Neoverse software optimization guides: FMA width per core"
_NEURON = "AWS Neuron documentation, Trainium and Inferentia2 architecture"
_TPU = "Google Cloud TPU documentation, system architecture of the version"

PEAKS = (
    Peak("nvidia-b200", 2250, 8000, "NVIDIA HGX B200 datasheet, per GPU"),
    Peak("nvidia-h200", 989, 4800, "NVIDIA H200 datasheet"),
    Peak("nvidia-h100", 989, 3350, "NVIDIA H100 datasheet, SXM"),
    Peak("nvidia-h100-nvl", 835, 3900, "NVIDIA H100 datasheet, NVL, per GPU"),
    Peak("nvidia-h100-pcie", 756, 2000, "NVIDIA H100 PCIe product brief"),
    Peak("nvidia-a100", 312, 2039, "NVIDIA A100 datasheet, 80 GB SXM"),
    Peak("nvidia-a100-40gb", 312, 1555, "NVIDIA A100 datasheet, 40 GB"),
    Peak("nvidia-a100-pcie", 312, 1935, "NVIDIA A100 datasheet, 80 GB PCIe"),
    Peak("nvidia-a100-pcie-40gb", 312, 1555, "NVIDIA A100 datasheet, 40 GB"),
    Peak("nvidia-a10", 125, 600, "NVIDIA A10 datasheet"),
    Peak("nvidia-a30", 165, 933, "NVIDIA A30 datasheet"),
    Peak("nvidia-a40", 150, 696, "NVIDIA A40 datasheet"),
    Peak("nvidia-l4", 121, 300, "NVIDIA L4 datasheet"),
    Peak("nvidia-l40", 181, 864, "NVIDIA L40 datasheet"),
    Peak("nvidia-l40s", 362, 864, "NVIDIA L40S datasheet"),
    Peak("nvidia-v100", 125, 900, "NVIDIA V100 datasheet, SXM2"),
    Peak("nvidia-p100", 21.2, 732, "NVIDIA P100 datasheet, SXM2"),
    Peak("nvidia-t4", 65, 320, "NVIDIA T4 datasheet"),
    Peak("nvidia-k80", 4.4, 240, "NVIDIA K80 board specification, per GPU"),
    Peak("nvidia-rtx-4090", 165, 1008, "NVIDIA Ada GPU architecture whitepaper"),
    Peak("nvidia-rtx-3090", 71, 936, "NVIDIA GA102 GPU architecture whitepaper"),
    Peak("nvidia-rtx-a6000", 155, 768, "NVIDIA RTX A6000 datasheet"),
    Peak("amd-mi325x", 1307, 6000, "AMD Instinct MI325X data sheet"),
    Peak("amd-mi300x", 1307, 5300, "AMD Instinct MI300X data sheet"),
    Peak("amd-mi250x", 383, 3277, "AMD Instinct MI250X data sheet"),
    Peak("amd-mi250", 362, 3277, "AMD Instinct MI250 data sheet"),
    Peak("amd-mi210", 181, 1638, "AMD Instinct MI210 data sheet"),
    Peak("amd-mi100", 92, 1229, "AMD Instinct MI100 data sheet, bfloat16"),
    Peak("intel-max-1550", 839, 3277, "Intel Data Center GPU Max Series product brief"),
    Peak("intel-gaudi2", 432, 2450, "Intel Gaudi 2 white paper"),
    Peak("intel-gaudi3", 1835, 3700, "Intel Gaudi 3 white paper"),
    Peak("tpu-v2", 46, 700, _TPU),
    Peak("tpu-v3", 123, 900, _TPU),
    Peak("tpu-v4", 275, 1200, _TPU),
    Peak("tpu-v5e", 197, 819, _TPU),
    Peak("tpu-v5p", 459, 2765, _TPU),
    Peak("tpu-v6e", 918, 1640, _TPU),
    Peak("tpu-v7x", 2307, 7380, _TPU),
    Peak("aws-trainium", 190, 820, _NEURON),
    Peak("aws-trainium2", 667, 2900, _NEURON),
    Peak("aws-inferentia2", 190, 820, _NEURON),
    Peak("ascend-910", 256, 1200, "Huawei Ascend 910, Hot Chips 2019"),
    Peak("ascend-310p3", 70, 204, "Huawei Atlas 300I Pro user guide"),
    Peak("cpu-avx512-amx", 0.192, 5, _INTEL),
    Peak("cpu-avx512", 0.192, 5, _INTEL),
    Peak("cpu-avx2", 0.096, 5, _INTEL),
    Peak("cpu-sve", 0.096, 5, _ARM),
    Peak("cpu-neon", 0.048, 5, _ARM),
)
SIGMA = 0.5  # programs reach a share of the peaks that differs between makers and kinds of work: a factor of 1.6
_PARTITION = re.compile(r"-(?P<whole>\d+)gb-mig-(?P<slices>\d+)g\.(?P<part>\d+)gb")
_SLICES = 7  # of compute in a whole device that can be partitioned (NVIDIA MIG user guide)


class Ratio(NamedTuple):
    """Log of how much longer the same work takes on the second class than on the first, and its spread."""

    log_time: float
    sigma: float
    source: str


def peak_of(resource_class: str) -> Peak | None:
    """Return the row of a class: that of the longest prefix; a partition has its part of it. None if unknown."""
    rows = [row for row in PEAKS if re.match(re.escape(row.prefix) + r"(?![a-z0-9])", resource_class)]
    if not rows:
        return None
    row = max(rows, key=lambda each: len(each.prefix))
    part = _PARTITION.search(resource_class)
    if part is None:
        return row
    compute = row.tflops * int(part["slices"]) / _SLICES
    bandwidth = row.gigabytes_per_second * int(part["part"]) / int(part["whole"])
    return Peak(row.prefix, compute, bandwidth, f"{row.source}; its share as a partition")


def compare(first: str, second: str) -> Ratio | None:
    """Return what the peaks say of two classes, or None if they say nothing.

    Nobody knows whether a program is held up by arithmetic or by memory: the ratio is the geometric mean of both, and
    the further the two are apart, the wider its spread.
    """
    a, b = peak_of(first), peak_of(second)
    if a is None or b is None or first.startswith("cpu") != second.startswith("cpu"):
        return None
    compute = math.log(a.tflops / b.tflops)
    memory = math.log(a.gigabytes_per_second / b.gigabytes_per_second)
    source = f"peaks of {a.source} and {b.source}"
    return Ratio((compute + memory) / 2, math.hypot(SIGMA, (compute - memory) / 2), source)
