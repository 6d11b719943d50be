"""Finds out what a machine is made of: CPU, memory and disks itself, accelerators through the detectors."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from lepton_ai.errors import InvalidInput
from lepton_ai.node.hardware.cgroup import memory_ceiling
from lepton_ai.node.hardware.cpu import read_cpu
from lepton_ai.node.hardware.detector import Detection, Detector
from lepton_ai.node.hardware.disks import read_disks
from lepton_ai.node.hardware.plugins import load_detectors
from lepton_ai.node.hardware.probe import Probe, SystemProbe
from lepton_ai.node.hardware.simulated import VENDOR, simulated_devices
from lepton_ai.settings import default_home, load_settings
from lepton_ai.types.node import Device, Hardware, UnprobedDevice

DETECTION_SECONDS = 2.0  # all detectors together, side by side
PLUGIN_HINT = "Report this to the maker of the detector; the other devices are not affected."
LATE_HINT = "See whether the maker's tool hangs when run by hand, then restart the core."


def detect_hardware(
    detectors: Sequence[Detector] | None = None,
    *,
    probe: Probe | None = None,
    home: Path | None = None,
    limit_seconds: float = DETECTION_SECONDS,
) -> Hardware:
    """Return this machine's hardware within about `limit_seconds`; whatever fails becomes an unprobed device.

    CPUs and memory are what this process may use: affinity, quota and the control group's limit are applied.
    `detectors` are the installed ones by default, `home` is the state folder whose disk is always listed and whose
    configuration may declare simulated devices.
    """
    deadline = time.monotonic() + limit_seconds
    probe = probe or SystemProbe(deadline)
    probe.pci()  # Read once here rather than by each detector's thread.
    found = _detect_all(load_detectors() if detectors is None else detectors, probe, deadline)
    found.append(_declared(home))
    cpu = read_cpu(probe)
    devices, doubles = _without_doubles([device for detection in found for device in detection.devices])
    return Hardware(
        cpu_model=cpu.model,
        architecture=cpu.architecture,
        sockets=cpu.sockets,
        cores=cpu.cores,
        threads=cpu.threads,
        instruction_sets=cpu.instruction_sets,
        memory_bytes=read_memory(probe),
        disks=read_disks(default_home() if home is None else home),
        devices=devices,
        unprobed=(*(line for detection in found for line in detection.unprobed), *doubles),
        cpu_class=cpu.cpu_class,
    )


def read_memory(probe: Probe) -> int:
    """Return the bytes that this process may use: the machine's, or its control group's limit."""
    total = 0
    for line in probe.read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            total = int(line.split()[1]) * 1024
            break
    limit = int(memory_ceiling(probe).amount)
    return min(total, limit) if limit and total else total or limit


def _declared(home: Path | None) -> Detection:
    """Return the simulated devices that the configuration of this machine's state folder declares."""
    environment = os.environ if home is None else {**os.environ, "LEPTON_HOME": str(home)}
    try:
        return simulated_devices(load_settings(environment).simulated_devices)
    except InvalidInput as error:
        lost = UnprobedDevice(vendor=VENDOR, where="the configuration", why=error.message, hint=error.hint)
        return Detection(unprobed=(lost,))


def _detect_all(detectors: Sequence[Detector], probe: Probe, deadline: float) -> list[Detection]:
    """Run all detectors side by side. One that hangs is left behind in its thread: a driver call cannot be stopped."""
    answers: list[Detection | None] = [None] * len(detectors)

    def work(place: int) -> None:
        answers[place] = _detect_one(detectors[place], probe)

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(len(detectors))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [answer or _late(detector) for answer, detector in zip(answers, detectors, strict=True)]


def _detect_one(detector: Detector, probe: Probe) -> Detection:
    try:
        return detector.detect(probe)
    except Exception as error:  # A plugin may raise anything; it must not stop the core.
        why = f"the detector failed: {type(error).__name__}: {error}"
        return _failed(detector, why, PLUGIN_HINT)


def _late(detector: Detector) -> Detection:
    return _failed(detector, "the detector did not answer in time", LATE_HINT)


def _failed(detector: Detector, why: str, hint: str) -> Detection:
    line = UnprobedDevice(vendor=detector.vendor, where=f"detector {detector.vendor}", why=why, hint=hint)
    return Detection(unprobed=(line,))


def _without_doubles(devices: Sequence[Device]) -> tuple[tuple[Device, ...], tuple[UnprobedDevice, ...]]:
    """Keep the first device of each id: one that is listed twice would be handed out twice."""
    kept: dict[str, Device] = {}
    doubles = []
    for device in devices:
        if device.id in kept:
            why = f"another device has the id {device.id} already"
            doubles.append(UnprobedDevice(vendor=device.vendor, where=device.model, why=why, hint=PLUGIN_HINT))
        kept.setdefault(device.id, device)
    return tuple(kept.values()), tuple(doubles)
