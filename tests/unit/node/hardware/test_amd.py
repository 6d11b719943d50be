"""AMD's detector on captured output of amd-smi and rocm-smi."""

from __future__ import annotations

import pytest

from lepton_ai.node.hardware.amd import DETECTOR, METRIC, ROCM, STATIC
from lepton_ai.node.hardware.pci import PCI_FOLDER
from lepton_ai.node.hardware.probe import ProbeFailed
from lepton_ai.types.node import DeviceUse
from tests.unit.node.hardware.captured import CapturedProbe, capture, pci_files

MI300X = pci_files("0000:83:00.0", "0x1002", "0x74a1", "0x120000")
RADEON = pci_files("0000:03:00.0", "0x1002", "0x744c", "0x030000")


def probe_with_amd_smi(**files: str) -> CapturedProbe:
    tools = {" ".join(STATIC): capture("amd-smi-static.json"), " ".join(METRIC): capture("amd-smi-metric.json")}
    return CapturedProbe(tools=tools, files={**MI300X, **RADEON, **files})


def test_gpus_are_read_from_amd_smi_after_its_warnings() -> None:
    found = DETECTOR.detect(probe_with_amd_smi())
    assert [(d.id, d.kind, d.driver) for d in found.devices] == [
        ("amd-0000:83:00.0", "amd-mi300x-192gb", "6.12.12"),
        ("amd-0000:03:00.0", "amd-radeon-rx-7900-xt-20gb", "6.12.12"),
    ]
    assert found.devices[0].memory_bytes == 196592 * 2**20
    assert found.unprobed == ()


def test_a_gpu_is_shown_by_its_serial_or_else_by_its_index() -> None:
    instinct, radeon = DETECTOR.detect(probe_with_amd_smi()).devices
    assert instinct.environment == (("ROCR_VISIBLE_DEVICES", "GPU-6f1f0a2b3c4d5e6f"),)
    assert radeon.environment == (("ROCR_VISIBLE_DEVICES", "1"),)


def test_rocm_smi_serves_where_amd_smi_is_missing() -> None:
    found = DETECTOR.detect(CapturedProbe(tools={" ".join(ROCM): capture("rocm-smi.json")}, files=dict(RADEON)))
    (device,) = found.devices
    assert (device.kind, device.driver) == ("amd-radeon-rx-7900-xt-20gb", "6.10.5")
    assert device.environment == (("ROCR_VISIBLE_DEVICES", "GPU-7ef570db1b346018"),)


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        (capture("amd-smi-static.json")[:700], "printed no readable JSON"),
        ("", "printed no readable JSON"),
        ("ERROR: No AMD GPUs detected", "printed no readable JSON"),
        (ProbeFailed("amd-smi did not answer within 1.5 s"), "did not answer within 1.5 s"),
        ("[]", "does not list it"),
        ('{"gpu_data": "N/A"}', "does not list it"),
    ],
)
def test_a_gpu_whose_tool_says_nothing_useful_is_reported(printed: str | ProbeFailed, why: str) -> None:
    found = DETECTOR.detect(CapturedProbe(tools={" ".join(STATIC): printed}, files=dict(MI300X)))
    assert found.devices == ()
    (line,) = found.unprobed
    assert why in line.why
    assert line.where == "PCI 0000:83:00.0 [1002:74a1]"


def test_a_gpu_without_a_model_is_not_named_by_guess() -> None:
    printed = '[{"gpu": 0, "asic": {"market_name": "N/A"}, "bus": {"bdf": "0000:83:00.0"}}]'
    found = DETECTOR.detect(CapturedProbe(tools={" ".join(STATIC): printed}, files=dict(MI300X)))
    assert found.devices == ()
    assert "does not tell its model" in found.unprobed[0].why


def test_without_a_tool_pci_alone_is_reported_and_nothing_where_there_is_no_gpu() -> None:
    assert "neither amd-smi nor rocm-smi" in DETECTOR.detect(CapturedProbe(files=dict(RADEON))).unprobed[0].why
    assert DETECTOR.detect(CapturedProbe()).unprobed == ()


def test_use_is_read_from_sysfs_without_starting_a_tool() -> None:
    folder = f"{PCI_FOLDER}/0000:03:00.0"
    files = {
        f"{folder}/gpu_busy_percent": "37",
        f"{folder}/mem_info_vram_used": "27856896",
        f"{folder}/hwmon/hwmon3/temp1_input": "44000",
        f"{folder}/hwmon/hwmon3/temp2_input": "47000",
        f"{folder}/hwmon/hwmon3/power1_average": "22000000",
    }
    radeon = DETECTOR.detect(probe_with_amd_smi()).devices[1]
    assert DETECTOR.use(CapturedProbe(files=files), [radeon]) == (
        DeviceUse(
            device_id=radeon.id,
            utilisation=0.37,
            memory_used_bytes=27856896,
            temperature_celsius=47.0,
            power_watts=22.0,
        ),
    )


def test_use_comes_from_amd_smi_where_sysfs_is_hidden_and_na_stays_unknown() -> None:
    probe = probe_with_amd_smi()
    instinct, radeon = DETECTOR.use(probe, DETECTOR.detect(probe).devices)
    assert (instinct.utilisation, instinct.memory_used_bytes) == (0.42, 4096 * 2**20)
    assert (instinct.temperature_celsius, instinct.power_watts) == (41.0, 133.0)
    assert radeon == DeviceUse(device_id="amd-0000:03:00.0")
