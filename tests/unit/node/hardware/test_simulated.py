"""Simulated devices: declared in the configuration, and named so that nobody takes them for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.node.hardware import detect_hardware
from lepton_ai.node.hardware.simulated import simulated_devices


def test_the_configuration_of_the_state_folder_declares_them(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('simulated_devices = "2x80GB"\n')
    hardware = detect_hardware([], home=tmp_path)
    assert [device.id for device in hardware.devices] == ["simulated-gpu-80gb-0", "simulated-gpu-80gb-1"]
    assert hardware.resource_classes()[1:] == ("simulated-gpu-80gb",)
    assert "Simulated" in hardware.devices[0].model


def test_a_configuration_that_cannot_be_read_is_told_of_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('simulated_devices = "many"\n')
    (lost,) = detect_hardware([], home=tmp_path).unprobed
    assert (lost.vendor, lost.why) == ("simulated", "simulated_devices must be a number and a size, not 'many'.")


def test_nothing_is_declared_unless_somebody_does(tmp_path: Path) -> None:
    assert not detect_hardware([], home=tmp_path).devices


@pytest.mark.parametrize("text", ["2", "x80GB", "0x80GB", "65x80GB", "2x80", "2x80QB", "2x1MB"])
def test_what_is_no_number_and_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="simulated_devices must be"):
        simulated_devices(text)
