"""Detection as a whole: plugins that fail, hang or contradict, and this machine as it is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from lepton_ai.node.hardware import Detection, Detector, Probe, detect_hardware, load_detectors, unknown_use
from lepton_ai.node.hardware.plugins import GROUP, load_detector
from lepton_ai.types.node import Device
from tests.unit.node.hardware.captured import CapturedProbe, capture, pci_files


def device(vendor: str, name: str) -> Device:
    return Device(id=name, index=0, vendor=vendor, kind=f"{vendor}-x", model=f"{vendor} X")


def detector(vendor: str, *devices: Device) -> Detector:
    return Detector(vendor, lambda _: Detection(devices=devices), unknown_use)


def crash(_probe: Probe) -> Detection:
    raise KeyError("bus")


def test_devices_of_all_detectors_are_listed_in_their_order(tmp_path: Path) -> None:
    detectors = [detector("acme", device("acme", "a0")), detector("zeta", device("zeta", "z0"))]
    hardware = detect_hardware(detectors, probe=CapturedProbe(), home=tmp_path)
    assert [d.id for d in hardware.devices] == ["a0", "z0"]
    assert hardware.resource_classes() == ("cpu", "acme-x", "zeta-x")


def test_a_detector_that_raises_is_a_line_and_hides_no_other(tmp_path: Path) -> None:
    detectors = [Detector("broken", crash, unknown_use), detector("acme", device("acme", "a0"))]
    hardware = detect_hardware(detectors, probe=CapturedProbe(), home=tmp_path)
    assert [d.id for d in hardware.devices] == ["a0"]
    assert [(line.vendor, line.why) for line in hardware.unprobed] == [
        ("broken", "the detector failed: KeyError: 'bus'")
    ]


def test_a_detector_that_hangs_is_a_line_and_detection_ends(tmp_path: Path) -> None:
    released = threading.Event()

    def hang(_probe: Probe) -> Detection:
        released.wait(60)
        return Detection()

    detectors = [Detector("slow", hang, unknown_use), detector("acme", device("acme", "a0"))]
    hardware = detect_hardware(detectors, probe=CapturedProbe(), home=tmp_path, limit_seconds=1.0)
    released.set()
    assert [d.id for d in hardware.devices] == ["a0"]
    assert [line.why for line in hardware.unprobed] == ["the detector did not answer in time"]


def test_a_device_that_two_detectors_claim_is_handed_out_once(tmp_path: Path) -> None:
    detectors = [detector("acme", device("acme", "same")), detector("zeta", device("zeta", "same"))]
    hardware = detect_hardware(detectors, probe=CapturedProbe(), home=tmp_path)
    assert [d.vendor for d in hardware.devices] == ["acme"]
    assert [line.vendor for line in hardware.unprobed] == ["zeta"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("no.such.module:DETECTOR", "ModuleNotFoundError"),
        ("lepton_ai.node.hardware.nvidia:MISSING", "AttributeError"),
        ("lepton_ai.node.hardware.nvidia:VENDOR", "is a str, not a Detector"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_a_line(value: str, why: str) -> None:
    found = load_detector(EntryPoint("acme", value, GROUP)).detect(CapturedProbe())
    (line,) = found.unprobed
    assert (line.vendor, line.where) == ("acme", f"detector {value}")
    assert why in line.why


def test_the_built_in_detectors_come_through_the_same_door() -> None:
    vendors = {detector.vendor for detector in load_detectors()}
    assert {"nvidia", "amd", "intel", "google", "huawei", "aws", "fpga"} <= vendors


def test_every_device_carries_its_detector_s_vendor_so_that_its_use_can_be_asked() -> None:
    probe = CapturedProbe(
        {"neuron-ls --json-output": capture("neuron-ls-trn1.json")},
        pci_files("0000:00:1e.0", "0x1d0f", "0x7164", "0x088000"),
    )
    found: Sequence[tuple[str, str]] = [
        (detector.vendor, device.vendor) for detector in load_detectors() for device in detector.detect(probe).devices
    ]
    assert found == [("aws", "aws")]


def test_this_machine_is_detected_as_the_kernel_shows_it(tmp_path: Path) -> None:
    hardware = detect_hardware(home=tmp_path)
    assert 1 <= hardware.cores <= hardware.threads <= len(os.sched_getaffinity(0))
    assert hardware.architecture == os.uname().machine
    assert 0 < hardware.memory_bytes <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert hardware.cpu_model
    assert any(tmp_path.is_relative_to(disk.mount) for disk in hardware.disks)
    assert not [line for line in hardware.unprobed if line.where.startswith("detector")]


def test_affinity_limits_what_is_detected(tmp_path: Path) -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from lepton_ai.node.hardware import detect_hardware; print(detect_hardware([]).threads)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "1"


def test_nothing_heavy_is_imported_where_there_is_no_sign_of_nvidia(tmp_path: Path) -> None:
    program = (
        "import sys; from lepton_ai.node.hardware import detect_hardware, load_detectors\n"
        "from tests.unit.node.hardware.captured import CapturedProbe\n"
        "detect_hardware(load_detectors(), probe=CapturedProbe()); print('pynvml' in sys.modules)"
    )
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, cwd=root
    )
    assert done.stdout.strip() == "False"
