"""The name of a device's resource class, such as `nvidia-h100-80gb`, from what its maker calls it."""

from __future__ import annotations

import re

# Sizes as sold, in GB. Drivers report less: error correction takes a sixteenth, firmware a little.
SOLD_SIZES = (
    1,
    2,
    3,
    4,
    6,
    8,
    10,
    11,
    12,
    16,
    20,
    24,
    32,
    40,
    48,
    64,
    80,
    94,
    95,
    96,
    128,
    141,
    144,
    180,
    192,
    256,
    288,
)
_REPORTED_SHARE_MIN = 0.92  # of the size as sold: a T4 tells of 15109 of its 16384 MiB
_REPORTED_SHARE_MAX = 1.005

# What distinguishes no speed: makers' and brand words, and the form that a model is mostly sold in.
_NOISE = re.compile(
    r"\b(nvidia|amd|intel|tesla|geforce|quadro|instinct|corporation|graphics|gpu|data|center|hbm\d*e?|sxm\d*"
    r"|\d+\s*gi?b|with|max-q|oam)\b"
)
_MARKS = re.compile(r"\((r|tm|c|mcm)\)|[®™]")


def device_kind(vendor: str, model: str, memory_bytes: int) -> str:
    """Return the resource class: vendor, model without noise, size as sold.

    "NVIDIA H100 80GB HBM3" with 81559 MiB is `nvidia-h100-80gb`. "NVIDIA H100 PCIe" is slower, so another class.
    """
    words = _NOISE.sub(" ", _MARKS.sub(" ", model.lower()).replace("-", " ").replace("_", " "))
    name = "-".join(re.findall(r"[a-z0-9.]+", words)) or "unknown"
    memory = sold_size(memory_bytes)
    return f"{vendor}-{name}-{memory}gb" if memory else f"{vendor}-{name}"


def sold_size(memory_bytes: int) -> int:
    """Return the GB that a device with so many bytes is sold with; 0 if it has no memory of its own."""
    reported = memory_bytes / 2**30
    for sold in SOLD_SIZES:
        if sold * _REPORTED_SHARE_MIN <= reported <= sold * _REPORTED_SHARE_MAX:
            return sold
    return round(reported)
