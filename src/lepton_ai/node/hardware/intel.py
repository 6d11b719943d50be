"""Intel GPUs through xpu-smi, and Gaudi accelerators through hl-smi (in gaudi.py)."""

from __future__ import annotations

from collections.abc import Sequence

from lepton_ai.node.hardware import gaudi
from lepton_ai.node.hardware.detector import Detection, Detector, unprobed
from lepton_ai.node.hardware.fields import Record, inner, number, parse_json, records, size, text
from lepton_ai.node.hardware.kinds import device_kind
from lepton_ai.node.hardware.pci import DISPLAY_CLASS, normal_address
from lepton_ai.node.hardware.probe import Probe, ProbeFailed
from lepton_ai.types.node import Device, DeviceUse, UnprobedDevice

VENDOR = "intel"
PCI_VENDOR = 0x8086
INSTALL_HINT = "Install Intel's xpu-smi and the Level Zero driver, then restart the core."
TOOL_HINT = "Run xpu-smi discovery by hand to see what it says; the user needs the groups video and render."


def detect(probe: Probe) -> Detection:
    """Return Intel's GPUs and Gaudi accelerators; those that only PCI shows are unprobed."""
    gpus, accelerators = _detect_gpus(probe), gaudi.detect(probe)
    return Detection(gpus.devices + accelerators.devices, gpus.unprobed + accelerators.unprobed)


def use(probe: Probe, devices: Sequence[Device]) -> tuple[DeviceUse, ...]:
    """Return what xpu-smi and hl-smi tell of each device now."""
    accelerators = [device for device in devices if gaudi.is_gaudi(device)]
    gpus = [device for device in devices if not gaudi.is_gaudi(device)]
    return (*(_use_of(probe, gpu) for gpu in gpus), *(gaudi.use(probe, accelerators) if accelerators else ()))


def _detect_gpus(probe: Probe) -> Detection:
    functions = [f for f in probe.pci() if f.vendor == PCI_VENDOR and f.kind >> 16 == DISPLAY_CLASS]
    if not probe.has("xpu-smi"):
        return Detection(unprobed=unprobed(VENDOR, functions, "xpu-smi is not installed", INSTALL_HINT))
    try:
        document = parse_json("xpu-smi", probe.run("xpu-smi", "discovery", "-j"))
    except ProbeFailed as failure:
        return Detection(unprobed=unprobed(VENDOR, functions, str(failure), TOOL_HINT))
    if error := text(document, "error"):
        return Detection(unprobed=unprobed(VENDOR, functions, f"xpu-smi answers: {error}", TOOL_HINT))
    devices: list[Device] = []
    lines: list[UnprobedDevice] = []
    for record in records(inner(document, "device_list")):
        found = _device(probe, record)
        if isinstance(found, Device):
            devices.append(found)
        else:
            lines.append(found)
    seen = {device.id.removeprefix(f"{VENDOR}-") for device in devices}
    missing = [f for f in functions if f.address not in seen] if not lines else []
    if missing:
        lines.extend(unprobed(VENDOR, missing, "xpu-smi does not list it", TOOL_HINT))
    return Detection(tuple(devices), tuple(lines))


def _device(probe: Probe, record: Record) -> Device | UnprobedDevice:
    index = int(number(record, "device_id"))
    model, address = text(record, "device_name"), normal_address(text(record, "pci_bdf_address"))
    where = f"PCI {address}" if address else f"device {index}"
    if index < 0 or not model or not address:
        why = text(record, "device_state") or "xpu-smi does not tell its name or address"
        return UnprobedDevice(vendor=VENDOR, where=where, why=why, hint=TOOL_HINT)
    try:
        # Only the report on a single device tells its memory.
        details = parse_json("xpu-smi", probe.run("xpu-smi", "discovery", "-d", str(index), "-j"))
    except ProbeFailed as failure:
        return UnprobedDevice(vendor=VENDOR, where=where, why=str(failure), hint=TOOL_HINT)
    memory_bytes = size(details, "memory_physical_size_byte")
    return Device(
        id=f"{VENDOR}-{address}",
        index=index,
        vendor=VENDOR,
        kind=device_kind(VENDOR, model, memory_bytes),
        model=model,
        memory_bytes=memory_bytes,
        driver=text(details, "driver_version"),
        environment=(("ZE_AFFINITY_MASK", str(index)),),
    )


def _use_of(probe: Probe, device: Device) -> DeviceUse:
    try:
        document = parse_json("xpu-smi", probe.run("xpu-smi", "stats", "-d", str(device.index), "-j"))
    except ProbeFailed:
        return DeviceUse(device_id=device.id)
    busy = _metric(document, "XPUM_STATS_GPU_UTILIZATION", sum_tiles=False)
    used_mib = _metric(document, "XPUM_STATS_MEMORY_USED", sum_tiles=True)
    return DeviceUse(
        device_id=device.id,
        utilisation=busy / 100 if busy >= 0 else -1.0,
        memory_used_bytes=int(used_mib * 2**20) if used_mib >= 0 else -1,
        temperature_celsius=_metric(document, "XPUM_STATS_GPU_CORE_TEMPERATURE", sum_tiles=False),
        power_watts=_metric(document, "XPUM_STATS_POWER", sum_tiles=True),
    )


def _metric(document: object, name: str, *, sum_tiles: bool) -> float:
    """Return the device's own figure; GPUs of several tiles may give it per tile only: their sum, or the highest."""
    own = [number(r, "value") for r in records(inner(document, "device_level")) if text(r, "metrics_type") == name]
    if own:
        return own[0]
    tiles = [
        number(record, "value")
        for tile in records(inner(document, "tile_level"))
        for record in records(inner(tile, "data_list"))
        if text(record, "metrics_type") == name
    ]
    return (sum(tiles) if sum_tiles else max(tiles)) if tiles else -1.0


DETECTOR = Detector(VENDOR, detect, use)
