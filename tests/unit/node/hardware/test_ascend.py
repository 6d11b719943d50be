"""Huawei's detector on captured tables of npu-smi."""

from __future__ import annotations

import pytest

from lepton_ai.node.hardware.ascend import DETECTOR
from lepton_ai.node.hardware.probe import ProbeFailed
from lepton_ai.types.node import DeviceUse
from tests.unit.node.hardware.captured import CapturedProbe, capture, pci_files

FILES = {
    **pci_files("0000:c1:00.0", "0x19e5", "0xd802", "0x120000"),
    **pci_files("0000:c2:00.0", "0x19e5", "0xd802", "0x120000"),
}


def tools(table: str | ProbeFailed, mapping: str | ProbeFailed) -> dict[str, str | ProbeFailed]:
    return {"npu-smi info": table, "npu-smi info -m": mapping}


def test_a_chip_is_shown_by_its_logic_id_not_by_its_card() -> None:
    found = DETECTOR.detect(CapturedProbe(tools(capture("npu-smi-info.txt"), capture("npu-smi-info-m.txt")), FILES))
    (device,) = found.devices
    assert (device.id, device.kind, device.driver) == ("ascend-0000:c1:00.0", "ascend-910b3-64gb", "24.1.0")
    assert device.environment == (("ASCEND_RT_VISIBLE_DEVICES", "0"),)


def test_a_sick_chip_is_reported_and_not_handed_out() -> None:
    found = DETECTOR.detect(CapturedProbe(tools(capture("npu-smi-info.txt"), capture("npu-smi-info-m.txt")), FILES))
    assert [(line.where, line.why) for line in found.unprobed] == [
        ("NPU 5 chip 0", "npu-smi says that its health is Critical")
    ]


def test_both_dies_of_a_card_are_devices() -> None:
    captured = tools(capture("npu-smi-info-dual.txt"), capture("npu-smi-info-m-dual.txt"))
    found = DETECTOR.detect(CapturedProbe(captured))
    assert [(d.id, d.index, d.kind) for d in found.devices] == [
        ("ascend-0000:9d:00.0", 0, "ascend-910-64gb"),
        ("ascend-0000:9f:00.0", 1, "ascend-910-64gb"),
    ]


def test_a_chip_without_on_chip_memory_is_sized_by_the_other_column() -> None:
    captured = tools(capture("npu-smi-info-310p.txt"), capture("npu-smi-info-m-310p.txt"))
    (device,) = DETECTOR.detect(CapturedProbe(captured)).devices
    assert (device.kind, device.memory_bytes) == ("ascend-310p3-21gb", 21527 * 2**20)


def test_use_is_read_from_the_table_and_what_it_lacks_stays_unknown() -> None:
    probe = CapturedProbe(tools(capture("npu-smi-info.txt"), capture("npu-smi-info-m.txt")))
    (use,) = DETECTOR.use(probe, DETECTOR.detect(probe).devices)
    assert (use.utilisation, use.memory_used_bytes) == (0.17, 3197 * 2**20)
    assert (use.temperature_celsius, use.power_watts) == (33.0, 91.3)
    probe = CapturedProbe(tools(capture("npu-smi-info-310p.txt"), capture("npu-smi-info-m-310p.txt")))
    (use,) = DETECTOR.use(probe, DETECTOR.detect(probe).devices)
    assert use.power_watts == -1.0


def test_use_is_unknown_when_the_tool_fails() -> None:
    probe = CapturedProbe(tools(capture("npu-smi-info.txt"), capture("npu-smi-info-m.txt")))
    devices = DETECTOR.detect(probe).devices
    failing = CapturedProbe(tools(ProbeFailed("npu-smi hangs"), ""))
    assert DETECTOR.use(failing, devices) == (DeviceUse(device_id="ascend-0000:c1:00.0"),)


@pytest.mark.parametrize(
    ("table", "mapping", "why"),
    [
        ("dcmi model initialized failed, because the device is used. ret is -8020", "", "no table of devices"),
        ("", "", "no table of devices"),
        ("\n".join(capture("npu-smi-info.txt").splitlines()[:7]), capture("npu-smi-info-m.txt"), "no table of devices"),
        (capture("npu-smi-info.txt"), "", "does not tell its logic id"),
        (ProbeFailed("npu-smi did not answer within 1.5 s"), "", "did not answer"),
        (capture("npu-smi-info.txt"), ProbeFailed("npu-smi exited with 255: it said nothing"), "exited with 255"),
    ],
)
def test_chips_whose_tool_says_nothing_useful_are_reported(
    table: str | ProbeFailed, mapping: str | ProbeFailed, why: str
) -> None:
    found = DETECTOR.detect(CapturedProbe(tools(table, mapping), FILES))
    assert found.devices == ()
    assert why in found.unprobed[0].why


def test_without_the_tool_only_what_pci_shows_is_reported() -> None:
    assert [line.why for line in DETECTOR.detect(CapturedProbe(files=FILES)).unprobed] == [
        "npu-smi is not installed",
        "npu-smi is not installed",
    ]
    assert DETECTOR.detect(CapturedProbe()).unprobed == ()
