"""AMD GPUs, through amd-smi or, where that is missing, rocm-smi."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lepton_ai.node.hardware.detector import Detection, Detector, unprobed
from lepton_ai.node.hardware.fields import Record, inner, number, parse_json, records, size, text
from lepton_ai.node.hardware.kinds import device_kind
from lepton_ai.node.hardware.pci import PCI_FOLDER, normal_address
from lepton_ai.node.hardware.probe import Probe, ProbeFailed
from lepton_ai.types.node import Device, DeviceUse, UnprobedDevice

VENDOR = "amd"
PCI_VENDOR = 0x1002
INSTALL_HINT = "Install ROCm's amd-smi (package amd-smi-lib), then restart the core."
TOOL_HINT = "Run the tool by hand to see what it says; the user needs the groups video and render."
STATIC = ("amd-smi", "static", "--asic", "--bus", "--vram", "--driver", "--json")
METRIC = ("amd-smi", "metric", "--usage", "--mem-usage", "--temperature", "--power", "--json")
ROCM = (
    "rocm-smi", "--showproductname", "--showmeminfo", "vram", "--showuniqueid", "--showbus", "--showdriverversion",
    "--json",
)  # fmt: skip
_INSTINCT = re.compile(r"\bMI\d{2,3}[A-Z]{0,2}\b")


def detect(probe: Probe) -> Detection:
    """Return the GPUs that the tool lists; those that only PCI shows are unprobed."""
    functions = [f for f in probe.pci() if f.vendor == PCI_VENDOR and f.is_accelerator]
    has_amd_smi = probe.has("amd-smi")
    if not has_amd_smi and not probe.has("rocm-smi"):
        return Detection(
            unprobed=unprobed(VENDOR, functions, "neither amd-smi nor rocm-smi is installed", INSTALL_HINT)
        )
    try:
        found = _from_amd_smi(probe.run(*STATIC)) if has_amd_smi else _from_rocm_smi(probe.run(*ROCM))
    except ProbeFailed as failure:
        return Detection(unprobed=unprobed(VENDOR, functions, str(failure), TOOL_HINT))
    seen = {_address_of(device.id) for device in found.devices}
    missing = [f for f in functions if f.address not in seen] if not found.unprobed else []
    lines = unprobed(VENDOR, missing, "the driver amdgpu does not list it", TOOL_HINT) if missing else ()
    return Detection(found.devices, (*found.unprobed, *lines))


def use(probe: Probe, devices: Sequence[Device]) -> tuple[DeviceUse, ...]:
    """Return what the driver tells in sysfs, which costs no process; amd-smi is asked only where that is missing."""
    uses = tuple(_use_from_sysfs(probe, device) for device in devices)
    if all(use.memory_used_bytes >= 0 for use in uses) or not probe.has("amd-smi"):
        return uses
    try:
        metrics = {int(number(record, "gpu")): record for record in _gpu_records(probe.run(*METRIC))}
    except ProbeFailed:
        return uses
    return tuple(_use_from_metric(device, metrics.get(device.index, {})) for device in devices)


def _from_amd_smi(output: str) -> Detection:
    found = []
    for record in _gpu_records(output):
        found.append(
            _Card(
                index=int(number(record, "gpu")),
                model=text(record, "asic", "market_name"),
                address=normal_address(text(record, "bus", "bdf")),
                serial=text(record, "asic", "asic_serial"),
                memory_bytes=size(record, "vram", "size", unit="mb"),
                driver=text(record, "driver", "version"),
            )
        )
    return _detection(found)


def _from_rocm_smi(output: str) -> Detection:
    document = parse_json("rocm-smi", output)
    if not isinstance(document, dict):
        raise ProbeFailed("rocm-smi printed JSON of an unknown shape")
    driver = text(document, "system", "Driver version")
    found = []
    for name, record in document.items():
        if name.startswith("card") and name[4:].isdigit():
            found.append(
                _Card(
                    index=int(name[4:]),
                    model=text(record, "Card Series") or text(record, "Card series") or text(record, "Device Name"),
                    address=normal_address(text(record, "PCI Bus")),
                    serial=text(record, "Unique ID"),
                    memory_bytes=size(record, "VRAM Total Memory (B)"),
                    driver=driver,
                )
            )
    return _detection(found)


@dataclass(frozen=True, slots=True)
class _Card:
    """What either tool tells of one GPU."""

    index: int
    model: str
    address: str
    serial: str
    memory_bytes: int
    driver: str


def _detection(cards: Sequence[_Card]) -> Detection:
    if not cards:
        return Detection()
    serials = Counter(card.serial for card in cards)
    devices, lines = [], []
    for card in cards:
        if card.index < 0 or not card.address or not card.model or card.model.startswith("0x"):
            why = "the tool does not tell its model or address"
            lines.append(UnprobedDevice(vendor=VENDOR, where=f"GPU {card.index}", why=why, hint=TOOL_HINT))
        else:
            devices.append(_device(card, is_serial_unique=serials[card.serial] == 1))
    return Detection(tuple(devices), tuple(lines))


def _device(card: _Card, *, is_serial_unique: bool) -> Device:
    instinct = _INSTINCT.search(card.model)
    digits = card.serial.lower().removeprefix("0x")
    has_serial = is_serial_unique and bool(re.fullmatch(r"[0-9a-f]{1,16}", digits)) and int(digits, 16) != 0
    # ROCr takes GPU-<16 digits of the unique id>; indices depend on who counts. Partitions of a card share the id.
    visible = f"GPU-{digits.zfill(16)}" if has_serial else str(card.index)
    return Device(
        id=f"{VENDOR}-{card.address}",
        index=card.index,
        vendor=VENDOR,
        kind=device_kind(VENDOR, instinct[0] if instinct else card.model, card.memory_bytes),
        model=card.model,
        memory_bytes=card.memory_bytes,
        driver=card.driver,
        environment=(("ROCR_VISIBLE_DEVICES", visible),),
    )


def _gpu_records(output: str) -> tuple[Record, ...]:
    document = parse_json("amd-smi", output)
    # amd-smi wraps the list since ROCm 7.
    return records(inner(document, "gpu_data") if isinstance(document, dict) else document)


def _address_of(device_id: str) -> str:
    return device_id.removeprefix(f"{VENDOR}-")


def _use_from_sysfs(probe: Probe, device: Device) -> DeviceUse:
    folder = f"{PCI_FOLDER}/{_address_of(device.id)}"
    sensors = {
        name: probe.read(path)
        for name in ("temp2_input", "temp1_input", "power1_average", "power1_input")
        for path in probe.glob(f"{folder}/hwmon/hwmon*/{name}")
    }
    values = {
        **sensors,
        "busy": probe.read(f"{folder}/gpu_busy_percent"),
        "used": probe.read(f"{folder}/mem_info_vram_used"),
    }
    # temp2 is the hottest spot, temp1 the edge; millidegrees and microwatts (Documentation/gpu/amdgpu/thermal).
    temperature = max(number(values, "temp2_input"), number(values, "temp1_input"))
    power = max(number(values, "power1_average"), number(values, "power1_input"))
    busy = number(values, "busy")
    return DeviceUse(
        device_id=device.id,
        utilisation=busy / 100 if busy >= 0 else -1.0,
        memory_used_bytes=int(number(values, "used")),
        temperature_celsius=temperature / 1000 if temperature >= 0 else -1.0,
        power_watts=power / 1e6 if power >= 0 else -1.0,
    )


def _use_from_metric(device: Device, record: Record) -> DeviceUse:
    busy = number(record, "usage", "gfx_activity")
    used = number(record, "mem_usage", "used_vram")
    return DeviceUse(
        device_id=device.id,
        utilisation=busy / 100 if busy >= 0 else -1.0,
        memory_used_bytes=int(used * 2**20) if used >= 0 else -1,
        temperature_celsius=max(number(record, "temperature", "hotspot"), number(record, "temperature", "edge")),
        power_watts=number(record, "power", "socket_power"),
    )


DETECTOR = Detector(VENDOR, detect, use)
