"""NVIDIA's detector on captured answers of NVML."""

from __future__ import annotations

import pytest

from lepton_ai.node.hardware.kinds import device_kind, sold_size
from lepton_ai.node.hardware.nvidia import DETECTOR
from lepton_ai.node.hardware.nvml import NvmlDevice, NvmlFailed, NvmlFault, NvmlSlice
from lepton_ai.types.node import DeviceUse
from tests.unit.node.hardware.captured import CapturedNvml, CapturedProbe, pci_files

MIB = 2**20
H100 = NvmlDevice(0, "GPU-5c1d", "NVIDIA H100 80GB HBM3", 81559 * MIB, "00000000:81:00.0")
H100_FILES = pci_files("0000:81:00.0", "0x10de", "0x2330", "0x030200")


def test_a_gpu_becomes_a_device_that_a_process_sees_by_its_uuid() -> None:
    found = DETECTOR.detect(CapturedProbe(files=H100_FILES, library=CapturedNvml((H100,))))
    (device,) = found.devices
    assert (device.kind, device.driver, device.memory_bytes) == ("nvidia-h100-80gb", "570.86.15", 81559 * MIB)
    assert device.environment == (("CUDA_VISIBLE_DEVICES", "GPU-5c1d"),)
    assert found.unprobed == ()


def test_mig_partitions_stand_in_for_their_gpu() -> None:
    slices = tuple(NvmlSlice(f"MIG-{i}", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", 9856 * MIB) for i in range(2))
    gpu = NvmlDevice(0, "GPU-5c1d", H100.name, H100.memory_bytes, H100.address, has_mig=True, slices=slices)
    found = DETECTOR.detect(CapturedProbe(files=H100_FILES, library=CapturedNvml((gpu,))))
    assert [(d.id, d.kind, d.partition) for d in found.devices] == [
        ("MIG-0", "nvidia-h100-80gb-mig-1g.10gb", "1g.10gb"),
        ("MIG-1", "nvidia-h100-80gb-mig-1g.10gb", "1g.10gb"),
    ]
    assert found.devices[1].memory_bytes == 9856 * MIB
    assert found.devices[1].environment == (("CUDA_VISIBLE_DEVICES", "MIG-1"),)


def test_a_gpu_in_mig_mode_without_instances_is_not_handed_out() -> None:
    gpu = NvmlDevice(0, "GPU-5c1d", H100.name, H100.memory_bytes, H100.address, has_mig=True)
    found = DETECTOR.detect(CapturedProbe(files=H100_FILES, library=CapturedNvml((gpu,))))
    assert found.devices == ()
    assert "no MIG instance exists" in found.unprobed[0].why


def test_a_gpu_without_a_driver_is_reported_with_what_to_do() -> None:
    found = DETECTOR.detect(CapturedProbe(files=H100_FILES))
    (line,) = found.unprobed
    assert line.where == "PCI 0000:81:00.0 [10de:2330]"
    assert "nvidia-driver" in line.hint
    assert found.devices == ()


def test_a_library_that_does_not_fit_the_driver_asks_for_a_restart() -> None:
    failure = NvmlFailed("Driver/library version mismatch", is_stale=True)
    found = DETECTOR.detect(CapturedProbe(files=H100_FILES, library=failure))
    assert "Driver/library version mismatch" in found.unprobed[0].why
    assert "restart the machine" in found.unprobed[0].hint


def test_a_broken_library_without_any_gpu_is_nothing_to_report() -> None:
    found = DETECTOR.detect(CapturedProbe(library=NvmlFailed("Driver Not Loaded")))
    assert (found.devices, found.unprobed) == ((), ())


def test_a_gpu_that_fell_off_the_bus_does_not_hide_the_others() -> None:
    nvml = CapturedNvml((H100, NvmlFault(1, "GPU is lost")))
    files = {**H100_FILES, **pci_files("0000:c1:00.0", "0x10de", "0x2330", "0x030200")}
    found = DETECTOR.detect(CapturedProbe(files=files, library=nvml))
    assert [device.id for device in found.devices] == ["GPU-5c1d"]
    assert [(line.where, line.why) for line in found.unprobed] == [("GPU 1", "NVML answers: GPU is lost")]


def test_a_gpu_that_the_driver_does_not_count_is_reported() -> None:
    files = {**H100_FILES, **pci_files("0000:c1:00.0", "0x10de", "0x2901", "0x030200")}
    found = DETECTOR.detect(CapturedProbe(files=files, library=CapturedNvml((H100,))))
    assert [line.where for line in found.unprobed] == ["PCI 0000:c1:00.0 [10de:2901]"]


def test_the_sound_function_of_a_gpu_is_not_a_gpu() -> None:
    files = pci_files("0000:81:00.1", "0x10de", "0x22ba", "0x040300")
    assert DETECTOR.detect(CapturedProbe(files=files)).unprobed == ()


def test_use_comes_from_nvml_and_is_unknown_without_it() -> None:
    use = DeviceUse(device_id="GPU-5c1d", utilisation=0.5, memory_used_bytes=7, temperature_celsius=40, power_watts=300)
    probe = CapturedProbe(library=CapturedNvml((H100,), {"GPU-5c1d": use}))
    devices = DETECTOR.detect(probe).devices
    assert DETECTOR.use(probe, devices) == (use,)
    assert DETECTOR.use(CapturedProbe(library=NvmlFailed("gone")), devices) == (DeviceUse(device_id="GPU-5c1d"),)


@pytest.mark.parametrize(
    ("model", "mib", "kind"),
    [
        ("NVIDIA H100 PCIe", 81559, "nvidia-h100-pcie-80gb"),
        ("NVIDIA H100 NVL", 95830, "nvidia-h100-nvl-94gb"),
        ("NVIDIA H200", 143771, "nvidia-h200-141gb"),
        ("NVIDIA A100-SXM4-40GB", 40960, "nvidia-a100-40gb"),
        ("NVIDIA A100 80GB PCIe", 81920, "nvidia-a100-pcie-80gb"),
        ("Tesla T4", 15109, "nvidia-t4-16gb"),
        ("Tesla V100-SXM2-16GB", 16160, "nvidia-v100-16gb"),
        ("NVIDIA L40S", 46068, "nvidia-l40s-48gb"),
        ("NVIDIA A10", 23028, "nvidia-a10-24gb"),
        ("NVIDIA GeForce RTX 4090", 24564, "nvidia-rtx-4090-24gb"),
        ("NVIDIA RTX A6000", 49140, "nvidia-rtx-a6000-48gb"),
        ("NVIDIA GB10", 0, "nvidia-gb10"),
    ],
)
def test_the_kind_names_the_model_and_the_memory_as_sold(model: str, mib: int, kind: str) -> None:
    assert device_kind("nvidia", model, mib * MIB) == kind


def test_a_size_that_nobody_sells_is_named_as_it_is() -> None:
    assert sold_size(70 * 2**30) == 70
