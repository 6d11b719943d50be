"""Intel's detector on captured output of xpu-smi and hl-smi."""

from __future__ import annotations

import pytest

from lepton_ai.node.hardware import gaudi
from lepton_ai.node.hardware.intel import DETECTOR
from lepton_ai.node.hardware.probe import ProbeFailed
from lepton_ai.types.node import DeviceUse
from tests.unit.node.hardware.captured import CapturedProbe, capture, pci_files

MAX_1550 = pci_files("0000:29:00.0", "0x8086", "0x0bd5", "0x038000")
ARC = pci_files("0000:17:00.0", "0x8086", "0xe211", "0x030000")
GAUDI = pci_files("0000:3b:00.0", "0x1da3", "0x1060", "0x120000")
XPU_TOOLS: dict[str, str | ProbeFailed] = {
    "xpu-smi discovery -j": capture("xpu-smi-discovery.json"),
    "xpu-smi discovery -d 0 -j": capture("xpu-smi-discovery-0.json"),
    "xpu-smi discovery -d 1 -j": capture("xpu-smi-discovery-1.json"),
    "xpu-smi stats -d 0 -j": capture("xpu-smi-stats-0.json"),
    "xpu-smi stats -d 1 -j": ProbeFailed("xpu-smi exited with 1: Error: Level Zero Initialization Error"),
}
GAUDI_LIST, GAUDI_METRIC = f"hl-smi -Q {gaudi.STATIC} -f csv", f"hl-smi -Q {gaudi.METRIC} -f csv"
GAUDI_TOOLS = {GAUDI_LIST: capture("hl-smi-static.csv"), GAUDI_METRIC: capture("hl-smi-metric.csv")}


def test_gpus_are_read_from_xpu_smi() -> None:
    found = DETECTOR.detect(CapturedProbe(tools=XPU_TOOLS, files={**MAX_1550, **ARC}))
    assert [(d.id, d.kind, d.environment) for d in found.devices] == [
        ("intel-0000:29:00.0", "intel-max-1550-128gb", (("ZE_AFFINITY_MASK", "0"),)),
        ("intel-0000:17:00.0", "intel-arc-pro-b60-24gb", (("ZE_AFFINITY_MASK", "1"),)),
    ]
    assert found.devices[1].memory_bytes == 25669140480
    assert found.unprobed == ()


def test_use_adds_up_the_memory_of_a_gpu_s_tiles() -> None:
    probe = CapturedProbe(tools=XPU_TOOLS, files={**MAX_1550, **ARC})
    first, second = DETECTOR.use(probe, DETECTOR.detect(probe).devices)
    assert (first.utilisation, first.memory_used_bytes) == (0.425, 9216 * 2**20)
    assert (first.temperature_celsius, first.power_watts) == (35.5, 281.13)
    assert second == DeviceUse(device_id="intel-0000:17:00.0")


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        (capture("xpu-smi-discovery.json")[:200], "no readable JSON"),
        ('{"error": "Level Zero Initialization Error", "errno": 27}', "Level Zero Initialization Error"),
        ('{"device_list": []}', "does not list it"),
        (ProbeFailed("xpu-smi did not answer within 1.5 s"), "did not answer"),
    ],
)
def test_a_gpu_whose_tool_says_nothing_useful_is_reported(printed: str | ProbeFailed, why: str) -> None:
    found = DETECTOR.detect(CapturedProbe(tools={"xpu-smi discovery -j": printed}, files=dict(ARC)))
    assert found.devices == ()
    assert why in found.unprobed[0].why


def test_a_gpu_whose_memory_cannot_be_asked_is_not_handed_out() -> None:
    tools = {**XPU_TOOLS, "xpu-smi discovery -d 1 -j": ProbeFailed("xpu-smi exited with 1: device is busy")}
    found = DETECTOR.detect(CapturedProbe(tools=tools, files={**MAX_1550, **ARC}))
    assert [device.index for device in found.devices] == [0]
    assert [(line.where, line.why) for line in found.unprobed] == [
        ("PCI 0000:17:00.0", "xpu-smi exited with 1: device is busy")
    ]


def test_gaudi_is_read_from_the_csv_by_its_header() -> None:
    files = {**GAUDI, **pci_files("0000:4c:00.0", "0x1da3", "0x1020", "0x120000")}
    found = DETECTOR.detect(CapturedProbe(tools=GAUDI_TOOLS, files=files))
    assert [(d.kind, d.driver) for d in found.devices] == [
        ("intel-gaudi3-128gb", "1.24.1-b336d5e"),
        ("intel-gaudi2-96gb", "1.24.1-b336d5e"),
    ]
    assert found.devices[1].environment == (("HABANA_VISIBLE_MODULES", "3"), ("HABANA_VISIBLE_DEVICES", "1"))
    assert found.unprobed == ()


def test_use_of_gaudi_comes_from_the_csv() -> None:
    probe = CapturedProbe(tools=GAUDI_TOOLS, files=dict(GAUDI))
    first, _ = DETECTOR.use(probe, DETECTOR.detect(probe).devices)
    assert (first.utilisation, first.memory_used_bytes) == (0.07, 672 * 2**20)
    assert (first.temperature_celsius, first.power_watts) == (36.0, 226.0)


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("", "no CSV header"),
        ("hl-smi: driver is not loaded\n", "no CSV header"),
        ("\n".join(capture("hl-smi-static.csv").splitlines()[:1]), "does not list it"),
        (capture("hl-smi-static.csv")[:100], "cut short"),
        (ProbeFailed("hl-smi exited with 2: no devices"), "exited with 2"),
    ],
)
def test_gaudi_whose_tool_says_nothing_useful_is_reported(printed: str | ProbeFailed, why: str) -> None:
    found = DETECTOR.detect(CapturedProbe(tools={GAUDI_LIST: printed}, files=dict(GAUDI)))
    assert found.devices == ()
    assert why in found.unprobed[0].why


def test_without_tools_only_what_pci_shows_is_reported() -> None:
    found = DETECTOR.detect(CapturedProbe(files={**ARC, **GAUDI}))
    assert [line.why for line in found.unprobed] == ["xpu-smi is not installed", "hl-smi is not installed"]
    assert DETECTOR.detect(CapturedProbe()).unprobed == ()
