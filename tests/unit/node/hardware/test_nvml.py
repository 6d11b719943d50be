"""The adapter to pynvml: on a stand-in for the library, and on the real one, with or without a driver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pynvml
import pytest

from lepton_ai.node.hardware import detect_hardware
from lepton_ai.node.hardware.nvidia import DETECTOR
from lepton_ai.node.hardware.nvml import NvmlDevice, NvmlFailed, NvmlFault, NvmlSlice, PynvmlNvml
from lepton_ai.types.node import DeviceUse

HAS_DRIVER = Path("/dev/nvidiactl").exists()
LOST, REFUSED = pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_NOT_SUPPORTED


def raising(code: int) -> Callable[..., object]:
    def refuse(*_arguments: object) -> object:
        raise pynvml.NVMLError(code)

    return refuse


def answer_by(table: dict[object, object], code: int = REFUSED) -> Callable[..., object]:
    """Return a function that looks its last argument up, and refuses as the driver does if it is not there."""

    def ask(*arguments: object) -> object:
        if arguments[-1] not in table:
            raise pynvml.NVMLError(code)
        return table[arguments[-1]]

    return ask


def library() -> ModuleType:
    """Return a stand-in for pynvml: an H100 with one MIG slice, a GPU that is lost, and a GPU that refuses details."""
    module = ModuleType("pynvml")
    module.__dict__.update(
        NVMLError=pynvml.NVMLError,
        NVML_ERROR_LIB_RM_VERSION_MISMATCH=pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
        NVML_TEMPERATURE_GPU=pynvml.NVML_TEMPERATURE_GPU,
        nvmlInit=lambda: None,
        nvmlSystemGetDriverVersion=lambda: "570.86.15",
        nvmlDeviceGetCount=lambda: 3,
        nvmlDeviceGetHandleByIndex=answer_by({0: "h100", 2: "gb10"}, LOST),
        nvmlDeviceGetHandleByUUID=answer_by({"GPU-0": "h100"}),
        nvmlDeviceGetUUID=answer_by({"h100": "GPU-0", "gb10": b"GPU-2", "slice": "MIG-0"}),
        nvmlDeviceGetName=answer_by({"h100": "NVIDIA H100", "gb10": b"NVIDIA GB10", "slice": "H100 MIG 1g.10gb"}),
        nvmlDeviceGetMemoryInfo=answer_by(
            {"h100": SimpleNamespace(total=800, used=80), "slice": SimpleNamespace(total=100, used=1)}
        ),
        nvmlDeviceGetPciInfo=answer_by({"h100": SimpleNamespace(busId="00000000:81:00.0")}),
        nvmlDeviceGetMigMode=answer_by({"h100": [1, 1]}),
        nvmlDeviceGetMigDeviceHandleByIndex=answer_by({1: "slice"}),
        nvmlDeviceGetUtilizationRates=raising(REFUSED),
        nvmlDeviceGetTemperature=lambda _handle, _sensor: 41,
        nvmlDeviceGetPowerUsage=answer_by({"h100": 123456}),
    )
    return module


def test_what_the_library_tells_becomes_values_and_what_it_refuses_is_left_out() -> None:
    assert PynvmlNvml(library()).devices() == (
        NvmlDevice(
            0, "GPU-0", "NVIDIA H100", 800, "00000000:81:00.0", True, (NvmlSlice("MIG-0", "H100 MIG 1g.10gb", 100),)
        ),
        NvmlFault(1, "GPU is lost"),
        NvmlDevice(2, "GPU-2", "NVIDIA GB10", 0, ""),
    )


def test_use_holds_what_is_told_and_negatives_for_the_rest() -> None:
    nvml = PynvmlNvml(library())
    assert nvml.use_of("GPU-0") == DeviceUse(
        device_id="GPU-0", memory_used_bytes=80, temperature_celsius=41.0, power_watts=123.456
    )
    assert nvml.use_of("GPU-9") == DeviceUse(device_id="GPU-9")


def test_a_library_that_does_not_fit_the_driver_is_stale_and_another_failure_is_not() -> None:
    module = library()
    module.__dict__["nvmlInit"] = raising(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)
    with pytest.raises(NvmlFailed) as stale:
        PynvmlNvml(module)
    module.__dict__["nvmlInit"] = raising(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    with pytest.raises(NvmlFailed) as missing:
        PynvmlNvml(module)
    assert (stale.value.is_stale, missing.value.is_stale) == (True, False)


@pytest.mark.skipif(HAS_DRIVER, reason="this machine has NVIDIA's driver")
def test_without_a_driver_the_real_library_fails_in_words() -> None:
    with pytest.raises(NvmlFailed, match=r"NVML Shared Library Not Found|Driver Not Loaded"):
        PynvmlNvml()


@pytest.mark.skipif(not HAS_DRIVER, reason="this machine has no NVIDIA driver")
def test_with_a_driver_the_real_gpus_are_found_and_measured(tmp_path: Path) -> None:
    hardware = detect_hardware([DETECTOR], home=tmp_path, limit_seconds=30)
    assert hardware.devices
    assert all(device.kind.startswith("nvidia-") and device.driver for device in hardware.devices)
    nvml = PynvmlNvml()
    assert all(nvml.use_of(device.id).memory_used_bytes >= 0 for device in hardware.devices)
