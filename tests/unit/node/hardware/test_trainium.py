"""AWS's detector on captured output of neuron-ls."""

from __future__ import annotations

import pytest

from lepton_ai.node.hardware.probe import ProbeFailed
from lepton_ai.node.hardware.trainium import DETECTOR
from lepton_ai.types.node import DeviceUse
from tests.unit.node.hardware.captured import CapturedProbe, capture, pci_files

LIST = "neuron-ls --json-output"
TRN1 = pci_files("0000:00:1e.0", "0x1d0f", "0x7164", "0x088000")
INF2 = {
    **pci_files("0000:00:1e.0", "0x1d0f", "0x7264", "0x088000"),
    **pci_files("0000:00:1f.0", "0x1d0f", "0x7264", "0x088000"),
}


def test_a_device_is_named_by_its_pci_id_and_shown_by_its_cores() -> None:
    found = DETECTOR.detect(CapturedProbe({LIST: capture("neuron-ls-trn1.json")}, dict(TRN1)))
    (device,) = found.devices
    assert (device.id, device.kind) == ("neuron-0000:00:1e.0", "aws-trainium1-32gb")
    assert device.environment == (("NEURON_RT_VISIBLE_CORES", "0-1"),)


def test_cores_are_counted_in_the_order_of_devices_where_the_tool_does_not_number_them() -> None:
    found = DETECTOR.detect(CapturedProbe({LIST: capture("neuron-ls-inf2.json")}, dict(INF2)))
    assert [(d.index, d.kind, dict(d.environment)["NEURON_RT_VISIBLE_CORES"]) for d in found.devices] == [
        (0, "aws-inferentia2-32gb", "0-1"),
        (1, "aws-inferentia2-32gb", "2-3"),
    ]


def test_a_chip_that_is_not_known_is_reported() -> None:
    files = {"/dev/neuron0": "", **pci_files("0000:00:1e.0", "0x1d0f", "0x7999", "0x088000")}
    found = DETECTOR.detect(CapturedProbe({LIST: capture("neuron-ls-trn1.json")}, files))
    assert found.devices == ()
    assert "no known Neuron chip" in found.unprobed[0].why


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        (capture("neuron-ls-trn1.json")[:150], "no readable JSON"),
        ("", "no readable JSON"),
        ("[]", "does not list it"),
        ('[{"neuron_device": 0}]', "does not tell its cores"),
        (ProbeFailed("neuron-ls exited with 1: no neuron device found"), "no neuron device found"),
    ],
)
def test_a_device_whose_tool_says_nothing_useful_is_reported(printed: str | ProbeFailed, why: str) -> None:
    found = DETECTOR.detect(CapturedProbe({LIST: printed}, dict(TRN1)))
    assert found.devices == ()
    assert why in found.unprobed[0].why


def test_without_the_tool_pci_or_device_files_are_reported_and_other_amazon_functions_are_not() -> None:
    assert DETECTOR.detect(CapturedProbe(files=dict(TRN1))).unprobed[0].where == "PCI 0000:00:1e.0 [1d0f:7164]"
    assert DETECTOR.detect(CapturedProbe(files={"/dev/neuron0": ""})).unprobed[0].where == "/dev/neuron0"
    network = pci_files("0000:00:05.0", "0x1d0f", "0xec20", "0x020000")
    assert DETECTOR.detect(CapturedProbe(files=network)).unprobed == ()


def test_use_adds_up_the_memory_of_a_device_s_cores() -> None:
    (device,) = DETECTOR.detect(CapturedProbe({LIST: capture("neuron-ls-trn1.json")}, dict(TRN1))).devices
    folder = "/sys/devices/virtual/neuron_device/neuron0"
    files = {f"{folder}/neuron_core{i}/stats/memory_usage/device_mem/present": str(1000 + i) for i in range(2)}
    assert DETECTOR.use(CapturedProbe(files=files), [device])[0].memory_used_bytes == 2001
    assert DETECTOR.use(CapturedProbe(), [device]) == (DeviceUse(device_id=device.id),)
