"""The sampler on captured files: shares between two samples, ceilings, devices in the background."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from lepton_ai.node.hardware import Detection, Detector, Probe, UseSampler, detect_hardware
from lepton_ai.types.node import Device, DeviceUse, Hardware
from tests.unit.node.hardware.captured import CapturedProbe

STAT = "cpu  {total}\ncpu0 {first}\ncpu1 {second}\ncpu2 900 0 0 0 0 0 0 0 0 0\nintr 1 2 3"
MEMINFO = "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:   400 kB"


def stat(first: str, second: str) -> str:
    return STAT.format(total="0 0 0 0 0 0 0 0 0 0", first=first, second=second)


def hardware(*devices: Device, threads: int = 2) -> Hardware:
    return Hardware(
        cpu_model="x",
        architecture="x86_64",
        sockets=1,
        cores=threads,
        threads=threads,
        instruction_sets=(),
        memory_bytes=1000 * 1024,
        devices=devices,
    )


def device(name: str, vendor: str = "acme") -> Device:
    return Device(id=name, index=0, vendor=vendor, kind="acme-x", model="Acme X")


def detects_nothing(_probe: Probe) -> Detection:
    return Detection()


def busy(_probe: Probe, devices: Sequence[Device]) -> tuple[DeviceUse, ...]:
    return tuple(DeviceUse(device_id=d.id, utilisation=0.9) for d in devices)


def failing(_probe: Probe, devices: Sequence[Device]) -> tuple[DeviceUse, ...]:
    raise RuntimeError("driver is gone")


def test_cpu_is_the_share_since_the_last_sample_of_the_allowed_cpus_alone() -> None:
    probe = CapturedProbe(files={"/proc/stat": stat("100 0 0 100 0 0 0 0 0 0", "0 0 0 200 0 0 0 0 0 0")})
    sampler = UseSampler(hardware(), [], probe)
    probe.files["/proc/stat"] = stat("150 0 0 150 0 0 0 0 0 0", "0 0 0 290 10 0 0 0 0 0")
    assert sampler.sample().cpu == 0.25
    assert sampler.sample().cpu == 0.0


def test_memory_is_what_is_not_available() -> None:
    probe = CapturedProbe(files={"/proc/meminfo": MEMINFO})
    assert UseSampler(hardware(), [], probe).sample().memory_used_bytes == 600 * 1024


def test_under_ceilings_the_group_s_own_figures_count() -> None:
    folder = "/sys/fs/cgroup/box"
    files = {
        "/proc/self/cgroup": "0::/box",
        "/proc/meminfo": MEMINFO,
        f"{folder}/cpu.max": "200000 100000",
        f"{folder}/cpu.stat": "usage_usec 1000000\nuser_usec 1",
        f"{folder}/memory.max": "500000",
        f"{folder}/memory.current": "300000",
        f"{folder}/memory.stat": "anon 1\ninactive_file 100000",
    }
    now = [10.0]
    probe = CapturedProbe(files=files)
    sampler = UseSampler(hardware(), [], probe, clock=lambda: now[0])
    now[0] = 14.0
    files[f"{folder}/cpu.stat"] = "usage_usec 5000000\nuser_usec 1"
    use = sampler.sample()
    assert (use.cpu, use.memory_used_bytes) == (0.5, 200000)


def test_devices_are_unknown_until_their_detectors_have_answered() -> None:
    sampler = UseSampler(hardware(device("a0")), [Detector("acme", detects_nothing, busy)], CapturedProbe())
    sampler.refresh_devices()
    assert sampler.sample().devices == (DeviceUse(device_id="a0", utilisation=0.9),)


def test_a_device_that_nobody_can_ask_and_one_whose_detector_fails_stay_unknown() -> None:
    detectors = [Detector("acme", detects_nothing, busy), Detector("zeta", detects_nothing, failing)]
    devices = (device("z0", "zeta"), device("a0"), device("o0", "other"))
    sampler = UseSampler(hardware(*devices), detectors, CapturedProbe())
    sampler.refresh_devices()
    assert [use.utilisation for use in sampler.sample().devices] == [-1.0, 0.9, -1.0]


def test_a_sample_does_not_wait_for_a_device_that_hangs() -> None:
    released, asked = threading.Event(), threading.Event()

    def hang(_probe: Probe, devices: Sequence[Device]) -> tuple[DeviceUse, ...]:
        asked.set()
        released.wait(60)
        return busy(_probe, devices)

    sampler = UseSampler(hardware(device("a0")), [Detector("acme", detects_nothing, hang)], CapturedProbe())
    first = sampler.sample()
    assert asked.wait(30)
    second = sampler.sample()
    released.set()
    assert first.devices == second.devices == (DeviceUse(device_id="a0"),)


def test_this_machine_s_use_is_within_its_hardware(tmp_path: Path) -> None:
    found = detect_hardware([], home=tmp_path)
    use = UseSampler(found, []).sample()
    assert 0.0 <= use.cpu <= 1.0
    assert 0 < use.memory_used_bytes <= found.memory_bytes
