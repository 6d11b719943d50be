"""The detector of FPGA cards on captured output of xbutil and fpgainfo."""

from __future__ import annotations

import pytest

from lepton_ai.node.hardware.fpga import DETECTOR
from lepton_ai.node.hardware.probe import OUTPUT_FILE, ProbeFailed
from tests.unit.node.hardware.captured import CapturedProbe, capture, pci_files

EXAMINE = f"xbutil examine -f JSON -o {OUTPUT_FILE}"
ALVEO = {
    **pci_files("0000:65:00.0", "0x10ee", "0x500c", "0x120000"),
    **pci_files("0000:65:00.1", "0x10ee", "0x500d", "0x120000"),
    **pci_files("0000:17:00.0", "0x10ee", "0xd004", "0x120000"),
}
PAC = {
    **pci_files("0000:d8:00.0", "0x8086", "0xbcce", "0x120000"),
    **pci_files("0000:b1:00.0", "0x8086", "0xbcce", "0x120000"),
}


def test_a_card_with_a_platform_is_a_device_and_one_without_is_reported() -> None:
    found = DETECTOR.detect(CapturedProbe({EXAMINE: capture("xbutil-examine.json")}, dict(ALVEO)))
    (device,) = found.devices
    assert (device.id, device.kind, device.driver) == ("fpga-0000:65:00.1", "fpga-xilinx-u280", "2.13.0")
    assert device.environment == (("LEPTON_FPGA", "0000:65:00.1"),)
    assert [(line.where, line.why) for line in found.unprobed] == [
        ("0000:17:00.1", "XRT says that xilinx_u250_GOLDEN_5 is not ready")
    ]


def test_intel_s_cards_are_read_section_by_section() -> None:
    found = DETECTOR.detect(CapturedProbe({"fpgainfo fme": capture("fpgainfo-fme.txt")}, dict(PAC)))
    assert [(d.index, d.id, d.kind, d.driver) for d in found.devices] == [
        (0, "fpga-0000:d8:00.0", "fpga-intel-d5005", "bitstream 4.0.1"),
        (1, "fpga-0000:b1:00.0", "fpga-intel-n6001", "bitstream 5.0.1"),
    ]
    assert found.unprobed == ()


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        (capture("xbutil-examine.json")[:300], "no readable JSON"),
        ("", "no readable JSON"),
        ("{}", "does not list it"),
        (ProbeFailed("xbutil did not answer within 1.5 s"), "did not answer"),
    ],
)
def test_a_xilinx_card_whose_tool_says_nothing_useful_is_reported(printed: str | ProbeFailed, why: str) -> None:
    found = DETECTOR.detect(CapturedProbe({EXAMINE: printed}, dict(ALVEO)))
    assert found.devices == ()
    assert why in found.unprobed[0].why


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        (capture("fpgainfo-fme.txt")[:200], "does not tell of it"),
        ("", "does not tell of it"),
        (ProbeFailed("fpgainfo exited with 1: No FPGA resources found."), "No FPGA resources found"),
    ],
)
def test_an_intel_card_whose_tool_says_nothing_useful_is_reported(printed: str | ProbeFailed, why: str) -> None:
    found = DETECTOR.detect(CapturedProbe({"fpgainfo fme": printed}, dict(PAC)))
    assert found.devices == ()
    assert why in found.unprobed[0].why


def test_without_tools_only_what_pci_shows_is_reported() -> None:
    found = DETECTOR.detect(CapturedProbe(files={**ALVEO, **PAC}))
    assert {line.why for line in found.unprobed} == {
        "neither xrt-smi nor xbutil is installed",
        "fpgainfo is not installed",
    }
    assert DETECTOR.detect(CapturedProbe()).unprobed == ()
