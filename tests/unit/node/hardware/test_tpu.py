"""Google's detector on captured PCI ids, device files and variables."""

from __future__ import annotations

import pytest

from lepton_ai.node.hardware.tpu import DETECTOR
from lepton_ai.types.node import DeviceUse
from tests.unit.node.hardware.captured import CapturedProbe, pci_files

ACCEL = {"/dev/accel0": "", "/dev/accel1": ""}
VFIO = {"/dev/vfio/0": "", "/dev/vfio/1": "", "/dev/vfio/vfio": ""}


def chips(device: str, subsystem: str = "0x0000") -> dict[str, str]:
    first = pci_files("0000:00:04.0", "0x1ae0", device, "0xff0000", subsystem)
    return {**first, **pci_files("0000:00:05.0", "0x1ae0", device, "0xff0000", subsystem)}


@pytest.mark.parametrize(
    ("device", "subsystem", "files", "kind", "gib"),
    [
        ("0x0027", "0x004e", ACCEL, "tpu-v2", 16),
        ("0x0027", "0x004f", ACCEL, "tpu-v3", 32),
        ("0x005e", "0x0000", ACCEL, "tpu-v4", 32),
        ("0x0062", "0x0000", VFIO, "tpu-v5p", 95),
        ("0x0063", "0x0000", VFIO, "tpu-v5e", 16),
        ("0x006f", "0x0000", VFIO, "tpu-v6e", 32),
        ("0x0076", "0x0000", VFIO, "tpu-v7x", 192),
    ],
)
def test_the_generation_follows_from_the_pci_ids(
    device: str, subsystem: str, files: dict[str, str], kind: str, gib: int
) -> None:
    found = DETECTOR.detect(CapturedProbe(files={**chips(device, subsystem), **files}))
    assert [(d.kind, d.memory_bytes, d.environment) for d in found.devices] == [
        (kind, gib * 2**30, (("TPU_VISIBLE_CHIPS", "0"),)),
        (kind, gib * 2**30, (("TPU_VISIBLE_CHIPS", "1"),)),
    ]
    assert found.unprobed == ()


def test_chips_without_device_files_are_reported() -> None:
    found = DETECTOR.detect(CapturedProbe(files=chips("0x0063")))
    assert found.devices == ()
    assert [line.why for line in found.unprobed] == ["PCI shows 2 TPU chips, but there are 0 device files"] * 2


def test_chips_of_which_some_are_hidden_are_all_reported_since_nobody_knows_which() -> None:
    found = DETECTOR.detect(CapturedProbe(files={**chips("0x005e"), "/dev/accel0": ""}))
    assert (len(found.devices), len(found.unprobed)) == (0, 2)


def test_in_a_container_without_pci_the_type_tells_the_generation() -> None:
    found = DETECTOR.detect(CapturedProbe(files=ACCEL, variables={"TPU_ACCELERATOR_TYPE": "v5litepod-4"}))
    assert [(d.id, d.kind) for d in found.devices] == [("tpu-accel0", "tpu-v5e"), ("tpu-accel1", "tpu-v5e")]


def test_device_files_of_an_unknown_kind_are_reported() -> None:
    found = DETECTOR.detect(CapturedProbe(files=ACCEL))
    assert found.devices == ()
    assert found.unprobed[0].where == "/dev/accel0 /dev/accel1"


def test_a_chip_without_a_public_name_is_reported() -> None:
    found = DETECTOR.detect(CapturedProbe(files=chips("0x0056")))
    assert "no public name" in found.unprobed[0].why


def test_neither_vfio_alone_nor_google_s_network_card_is_a_tpu() -> None:
    network = pci_files("0000:00:03.0", "0x1ae0", "0x0042", "0x020000")
    found = DETECTOR.detect(CapturedProbe(files={**VFIO, **network, "/dev/accel/accel0": ""}))
    assert (found.devices, found.unprobed) == ((), ())


def test_use_is_unknown() -> None:
    (first, _) = DETECTOR.detect(CapturedProbe(files={**chips("0x005e"), **ACCEL})).devices
    assert DETECTOR.use(CapturedProbe(), [first]) == (DeviceUse(device_id=first.id),)
