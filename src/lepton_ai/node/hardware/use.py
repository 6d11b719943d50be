"""Measures what a node does now: CPU since the last sample, memory, and the devices through their detectors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lepton_ai.node.hardware.cgroup import cpu_ceiling, cpu_seconds, memory_ceiling, memory_used
from lepton_ai.node.hardware.detector import Detector, unknown_use
from lepton_ai.node.hardware.plugins import load_detectors
from lepton_ai.node.hardware.probe import Probe, SystemProbe
from lepton_ai.types.node import Device, DeviceUse, Hardware, NodeUse

DEVICE_SECONDS = 5.0  # Makers' tools take up to a second of CPU each time: at most a fifth of one core.


@dataclass(frozen=True, slots=True)
class _CpuReading:
    """CPU time so far, in seconds or ticks: what was used of what there was."""

    used: float
    available: float


class UseSampler:
    """Samples one node. `sample` never waits for a device: they are asked in the background, the last answer counts.

    It is a class, because CPU use is the difference between two samples. One thread at a time may call `sample`.
    """

    def __init__(
        self,
        hardware: Hardware,
        detectors: Sequence[Detector] | None = None,
        probe: Probe | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hardware = hardware
        self._detectors = detectors
        self._probe = probe or SystemProbe()
        self._clock = clock
        self._cpu_folder = cpu_ceiling(self._probe).folder
        self._memory_folder = memory_ceiling(self._probe).folder
        self._cpu = self._read_cpu()
        self._devices: tuple[DeviceUse, ...] = unknown_use(self._probe, hardware.devices)
        self._refresher: threading.Thread | None = None
        self._refreshed_at = float("-inf")

    def sample(self) -> NodeUse:
        """Return the use since the last call (or since this object was made), device figures at most seconds old."""
        before, self._cpu = self._cpu, self._read_cpu()
        available = self._cpu.available - before.available
        share = (self._cpu.used - before.used) / available if available > 0 else 0.0
        self._refresh_when_due()
        return NodeUse(cpu=min(1.0, max(0.0, share)), memory_used_bytes=self._read_memory_used(), devices=self._devices)

    def refresh_devices(self) -> None:
        """Ask every detector for its devices now, and wait. One that fails leaves its devices unknown."""
        if self._detectors is None:
            self._detectors = load_detectors()
        known: dict[str, DeviceUse] = {}
        for detector in self._detectors:
            own = [device for device in self._hardware.devices if device.vendor == detector.vendor]
            if own:
                known.update({use.device_id: use for use in _use_of(detector, self._probe, own)})
        self._devices = tuple(known.get(d.id, DeviceUse(device_id=d.id)) for d in self._hardware.devices)

    def _refresh_when_due(self) -> None:
        is_running = self._refresher is not None and self._refresher.is_alive()
        if not self._hardware.devices or is_running or self._clock() - self._refreshed_at < DEVICE_SECONDS:
            return
        self._refreshed_at = self._clock()
        self._refresher = threading.Thread(target=self.refresh_devices, name="device-use", daemon=True)
        self._refresher.start()

    def _read_cpu(self) -> _CpuReading:
        if self._cpu_folder:
            # Under a quota, the machine's own figures count the neighbours' work.
            used = cpu_seconds(self._probe, self._cpu_folder)
            if used >= 0:
                return _CpuReading(used, self._clock() * self._hardware.threads)
        return _ticks(self._probe.read("/proc/stat"), self._probe.cpus())

    def _read_memory_used(self) -> int:
        if self._memory_folder:
            used = memory_used(self._probe, self._memory_folder)
            if used >= 0:
                return used
        fields = dict(line.split(":", 1) for line in self._probe.read("/proc/meminfo").splitlines() if ":" in line)
        total, available = (int(fields.get(name, "0").split()[0]) for name in ("MemTotal", "MemAvailable"))
        return max(0, total - available) * 1024


def _ticks(stat: str, cpus: frozenset[int]) -> _CpuReading:
    """Sum /proc/stat's lines of the allowed CPUs: user nice system idle iowait irq softirq steal (guest is in user)."""
    used = available = 0.0
    for line in stat.splitlines():
        name, *ticks = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cpus:
            numbers = [float(tick) for tick in ticks[:8]]
            available += sum(numbers)
            used += sum(numbers) - sum(numbers[3:5])
    return _CpuReading(used, available)


def _use_of(detector: Detector, probe: Probe, devices: Sequence[Device]) -> tuple[DeviceUse, ...]:
    try:
        return detector.use(probe, devices)
    except Exception:  # A plugin may raise anything; its devices are then unknown.
        return ()
