"""Intel Gaudi accelerators, through hl-smi's CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

from lepton_ai.node.hardware.detector import Detection, unprobed
from lepton_ai.node.hardware.fields import number, size, text
from lepton_ai.node.hardware.kinds import device_kind
from lepton_ai.node.hardware.pci import normal_address
from lepton_ai.node.hardware.probe import Probe, ProbeFailed
from lepton_ai.types.node import Device, DeviceUse, UnprobedDevice

VENDOR = "intel"
PCI_VENDOR = 0x1DA3  # Habana Labs
INSTALL_HINT = (
    "Install Intel Gaudi's software (package habanalabs-firmware-tools brings hl-smi), then restart the core."
)
TOOL_HINT = "Run hl-smi by hand to see what it says; the driver's module is habanalabs."
STATIC = "index,module_id,bus_id,name,uuid,driver_version,memory.total"
METRIC = "index,memory.used,utilization.aip,temperature.aip,power.draw"
GENERATIONS = {"HL-1": "Goya", "HL-20": "Gaudi", "HL-22": "Gaudi2", "HL-28": "Gaudi2", "HL-3": "Gaudi3"}


def is_gaudi(device: Device) -> bool:
    """Tell whether this detector found the device."""
    return any(name == "HABANA_VISIBLE_MODULES" for name, _ in device.environment)


def detect(probe: Probe) -> Detection:
    """Return the accelerators that hl-smi lists."""
    functions = [f for f in probe.pci() if f.vendor == PCI_VENDOR and f.is_accelerator]
    if not probe.has("hl-smi"):
        return Detection(unprobed=unprobed(VENDOR, functions, "hl-smi is not installed", INSTALL_HINT))
    try:
        rows = _rows(probe.run("hl-smi", "-Q", STATIC, "-f", "csv"))
    except ProbeFailed as failure:
        return Detection(unprobed=unprobed(VENDOR, functions, str(failure), TOOL_HINT))
    devices: list[Device] = []
    lines: list[UnprobedDevice] = []
    for row in rows:
        if all(text(row, name) for name in ("index", "module_id", "bus_id", "name", "memory.total")):
            devices.append(_device(row))
        else:
            where = f"accelerator {text(row, 'index')}"
            lines.append(
                UnprobedDevice(vendor=VENDOR, where=where, why="hl-smi's line on it is cut short", hint=TOOL_HINT)
            )
    seen = {device.id.removeprefix("gaudi-") for device in devices}
    missing = [f for f in functions if f.address not in seen] if not lines else []
    if missing:
        lines.extend(unprobed(VENDOR, missing, "hl-smi does not list it", TOOL_HINT))
    return Detection(tuple(devices), tuple(lines))


def use(probe: Probe, devices: Sequence[Device]) -> tuple[DeviceUse, ...]:
    """Return what hl-smi tells of each accelerator now."""
    try:
        rows = {text(row, "index"): row for row in _rows(probe.run("hl-smi", "-Q", METRIC, "-f", "csv"))}
    except ProbeFailed:
        rows = {}
    uses = []
    for device in devices:
        row = rows.get(str(device.index), {})
        used, busy = number(row, "memory.used"), number(row, "utilization.aip")
        uses.append(
            DeviceUse(
                device_id=device.id,
                utilisation=busy / 100 if busy >= 0 else -1.0,
                memory_used_bytes=size(row, "memory.used", unit="mib") if used >= 0 else -1,
                temperature_celsius=number(row, "temperature.aip"),
                power_watts=number(row, "power.draw"),
            )
        )
    return tuple(uses)


def _device(row: Mapping[str, str]) -> Device:
    name, memory_bytes = text(row, "name"), size(row, "memory.total", unit="mib")
    generation = next((family for prefix, family in GENERATIONS.items() if name.upper().startswith(prefix)), "")
    return Device(
        id=f"gaudi-{normal_address(text(row, 'bus_id'))}",
        index=int(number(row, "index")),
        vendor=VENDOR,
        kind=device_kind(VENDOR, generation or name, memory_bytes),
        model=f"Intel {generation} ({name})" if generation else name,
        memory_bytes=memory_bytes,
        driver=text(row, "driver_version"),
        # Modules are what the runtime itself obeys; the devices' variable is obeyed by its container runtime only.
        environment=(
            ("HABANA_VISIBLE_MODULES", text(row, "module_id")),
            ("HABANA_VISIBLE_DEVICES", text(row, "index")),
        ),
    )


def _rows(output: str) -> list[Mapping[str, str]]:
    """Return the lines by column name, where "memory.total [MiB]" is `memory.total`."""
    lines = list(csv.reader(output.splitlines(), skipinitialspace=True))
    start = next((i for i, cells in enumerate(lines) if cells and cells[0].strip() == "index"), None)
    if start is None:
        raise ProbeFailed("hl-smi printed no CSV header")
    names = [cell.partition("[")[0].strip() for cell in lines[start]]
    return [dict(zip(names, (cell.strip() for cell in cells), strict=False)) for cells in lines[start + 1 :] if cells]
