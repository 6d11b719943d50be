"""Accelerators that are only declared, for tests and demos: work is placed on them, and finds none there."""

from __future__ import annotations

import re

from lepton_ai.errors import InvalidInput
from lepton_ai.node.hardware.detector import Detection
from lepton_ai.types.node import Device
from lepton_ai.types.quantity import parse_bytes

VENDOR = "simulated"  # and the beginning of the resource class: whoever looks sees that there is no such device
DEVICES_MAX = 64
_FORM = re.compile(r"^(?P<count>[1-9]\d{0,2})x(?P<size>\d+(?:\.\d+)?[A-Za-z]+)$")


def simulated_devices(text: str) -> Detection:
    """Read `simulated_devices` of the settings, such as "2x80GB"; raises InvalidInput. Empty declares nothing."""
    if not text.strip():
        return Detection()
    found = _FORM.match(text.strip())
    try:
        count, memory = (int(found["count"]), parse_bytes(found["size"])) if found else (0, 0)
    except ValueError:
        count = memory = 0
    if not 1 <= count <= DEVICES_MAX or memory < 10**9:
        raise InvalidInput(
            f"simulated_devices must be a number and a size, not {text[:80]!r}.",
            hint=f"Write 2x80GB for two devices that do not exist; at most {DEVICES_MAX}, of 1GB at least.",
        )
    kind = f"{VENDOR}-gpu-{memory / 1e9:.0f}gb"
    return Detection(
        devices=tuple(
            Device(
                id=f"{kind}-{place}",
                index=place,
                vendor=VENDOR,
                kind=kind,
                model="Simulated GPU: declared, not there",
                memory_bytes=memory,
            )
            for place in range(count)
        )
    )
