"""Huawei Ascend NPUs, through the tables that npu-smi prints (it knows no JSON)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lepton_ai.node.hardware.detector import Detection, Detector, unprobed
from lepton_ai.node.hardware.kinds import sold_size
from lepton_ai.node.hardware.pci import ACCELERATOR_CLASS, normal_address
from lepton_ai.node.hardware.probe import Probe, ProbeFailed
from lepton_ai.types.node import Device, DeviceUse, UnprobedDevice

VENDOR = "huawei"
PCI_VENDOR = 0x19E5
INSTALL_HINT = "Install the Ascend driver, which brings npu-smi, then restart the core."
TOOL_HINT = "Run npu-smi info by hand to see what it says; the user needs the group HwHiAiUser."
SICK = {"critical", "fault", "unknown", "error"}  # of npu-smi's health column; "Alarm" and "Warning" still compute
_MAPPING = re.compile(r"^\s*(\d+)\s+(\d+)\s+(\d+|-)(?:\s+(?:\d+|-))?\s+(\D\S*(?: \S+)*)\s*$")
_VERSION = re.compile(r"Version:\s*(\S+)")
_FRACTION = re.compile(r"(\d+)\s*/\s*(\d+)")


@dataclass(frozen=True, slots=True)
class _Chip:
    """One chip as the two lines of the table show it."""

    npu: int
    chip: int
    name: str
    health: str
    address: str
    power: float
    temperature: float
    busy: float
    memory_used_bytes: int
    memory_bytes: int


def detect(probe: Probe) -> Detection:
    """Return the chips that npu-smi lists and numbers."""
    functions = [f for f in probe.pci() if f.vendor == PCI_VENDOR and f.kind >> 16 == ACCELERATOR_CLASS]
    if not probe.has("npu-smi"):
        return Detection(unprobed=unprobed(VENDOR, functions, "npu-smi is not installed", INSTALL_HINT))
    try:
        table = probe.run("npu-smi", "info")
        numbers = _parse_mapping(probe.run("npu-smi", "info", "-m"))
    except ProbeFailed as failure:
        return Detection(unprobed=unprobed(VENDOR, functions, str(failure), TOOL_HINT))
    chips = list(_parse_table(table))
    if not chips:
        return Detection(unprobed=unprobed(VENDOR, functions, "npu-smi printed no table of devices", TOOL_HINT))
    version = _VERSION.search(table)
    devices: list[Device] = []
    lines: list[UnprobedDevice] = []
    for chip in chips:
        found = _device(chip, numbers, version[1] if version else "")
        if isinstance(found, Device):
            devices.append(found)
        else:
            lines.append(found)
    seen = {chip.address for chip in chips}
    missing = [f for f in functions if f.address not in seen] if "" not in seen else []
    if missing:
        lines.extend(unprobed(VENDOR, missing, "npu-smi does not list it", TOOL_HINT))
    return Detection(tuple(devices), tuple(lines))


def use(probe: Probe, devices: Sequence[Device]) -> tuple[DeviceUse, ...]:
    """Return what npu-smi's table tells of each chip now."""
    try:
        chips = {_id_of(chip): chip for chip in _parse_table(probe.run("npu-smi", "info"))}
    except ProbeFailed:
        chips = {}
    uses = []
    for device in devices:
        chip = chips.get(device.id)
        if chip is None:
            uses.append(DeviceUse(device_id=device.id))
            continue
        uses.append(
            DeviceUse(
                device_id=device.id,
                utilisation=chip.busy / 100 if chip.busy >= 0 else -1.0,
                memory_used_bytes=chip.memory_used_bytes,
                temperature_celsius=chip.temperature,
                power_watts=chip.power,
            )
        )
    return tuple(uses)


def _device(chip: _Chip, numbers: dict[tuple[int, int], tuple[int, str]], driver: str) -> Device | UnprobedDevice:
    where = f"NPU {chip.npu} chip {chip.chip}"
    if chip.health.lower() in SICK:
        why = f"npu-smi says that its health is {chip.health}"
        return UnprobedDevice(vendor=VENDOR, where=where, why=why, hint="npu-smi info -t health -i <NPU>")
    if (chip.npu, chip.chip) not in numbers:
        # ASCEND_RT_VISIBLE_DEVICES counts by this number; a guess could hand out somebody else's chip.
        why = "npu-smi info -m does not tell its logic id"
        return UnprobedDevice(vendor=VENDOR, where=where, why=why, hint=TOOL_HINT)
    number, name = numbers[chip.npu, chip.chip]
    model = name if len(name) >= len(chip.name) else f"Ascend {chip.name}"
    short = model.lower().replace("ascend", "").strip(" -_").replace(" ", "-") or "npu"
    memory = sold_size(chip.memory_bytes)
    return Device(
        id=_id_of(chip),
        index=number,
        vendor=VENDOR,
        kind=f"ascend-{short}-{memory}gb" if memory else f"ascend-{short}",
        model=model,
        memory_bytes=chip.memory_bytes,
        driver=driver,
        environment=(("ASCEND_RT_VISIBLE_DEVICES", str(number)),),
    )


def _id_of(chip: _Chip) -> str:
    return f"ascend-{chip.address}" if chip.address else f"ascend-{chip.npu}-{chip.chip}"


def _parse_mapping(output: str) -> dict[tuple[int, int], tuple[int, str]]:
    """Return (logic id, chip name) by (NPU, chip); the cards' own controllers ("Mcu") have no logic id."""
    found = (_MAPPING.match(line) for line in output.splitlines())
    return {(int(m[1]), int(m[2])): (int(m[3]), m[4]) for m in found if m and m[3] != "-"}


def _parse_table(output: str) -> Iterator[_Chip]:
    """Yield the chips. Each takes two lines of three cells; the table of processes below has four."""
    head: list[str] = []
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        words = cells[0].split()
        if len(cells) != 3 or not words or not words[0].isdigit():
            continue
        if not head:
            head = cells
            continue
        npu, _, name = head[0].partition(" ")
        sensors, memories = head[2].split(), _FRACTION.findall(cells[2])
        # On-chip memory is the last column; chips without it (310P) show 0 / 0 there, or no such column.
        used, total = max(((int(u), int(t)) for u, t in memories), key=lambda pair: pair[1], default=(0, 0))
        yield _Chip(
            npu=int(npu),
            chip=int(words[0]),
            name=name.strip(),
            health=head[1],
            address=normal_address(cells[1]),
            power=_float(sensors, 0),
            temperature=_float(sensors, 1),
            busy=_float(cells[2].split(), 0),
            memory_used_bytes=used * 2**20 if total else -1,
            memory_bytes=total * 2**20,
        )
        head = []


def _float(words: Sequence[str], place: int) -> float:
    try:
        return float(words[place])
    except (IndexError, ValueError):
        return -1.0


DETECTOR = Detector(VENDOR, detect, use)
