"""AWS Trainium and Inferentia devices, through neuron-ls."""

from __future__ import annotations

from collections.abc import Sequence

from lepton_ai.node.hardware.detector import Detection, Detector, unprobed
from lepton_ai.node.hardware.fields import Record, inner, number, parse_json, records, size, text
from lepton_ai.node.hardware.kinds import sold_size
from lepton_ai.node.hardware.pci import normal_address
from lepton_ai.node.hardware.probe import Probe, ProbeFailed
from lepton_ai.types.node import Device, DeviceUse, UnprobedDevice

VENDOR = "aws"
PCI_VENDOR = 0x1D0F
# Ids of the Neuron driver (aws-neuronx-dkms, neuron_device.h).
CHIPS = {
    0x7064: "inferentia1",
    0x7065: "inferentia1",
    0x7066: "inferentia1",
    0x7067: "inferentia1",
    0x7164: "trainium1",
    0x7264: "inferentia2",
    0x7364: "trainium2",
    0x7564: "trainium3",
    0x7565: "trainium3",
}
INSTALL_HINT = "Install AWS Neuron's driver and tools (aws-neuronx-dkms, aws-neuronx-tools), then restart the core."
TOOL_HINT = "Run neuron-ls by hand to see what it says; the user needs read and write access to /dev/neuron*."
MEMORY_FILES = "/sys/devices/virtual/neuron_device/neuron{index}/neuron_core*/stats/memory_usage/device_mem/present"


def detect(probe: Probe) -> Detection:
    """Return the Neuron devices; a device with all its cores is what is allocated."""
    functions = [f for f in probe.pci() if f.vendor == PCI_VENDOR and f.device in CHIPS]
    files = " ".join(probe.glob("/dev/neuron[0-9]*"))
    if not functions and not files:
        return Detection()
    if not probe.has("neuron-ls"):
        lines = unprobed(VENDOR, functions, "neuron-ls is not installed", INSTALL_HINT, elsewhere=files)
        return Detection(unprobed=lines)
    try:
        document = parse_json("neuron-ls", probe.run("neuron-ls", "--json-output"))
    except ProbeFailed as failure:
        return Detection(unprobed=unprobed(VENDOR, functions, str(failure), TOOL_HINT, elsewhere=files))
    chips = {function.address: CHIPS[function.device] for function in functions}
    devices: list[Device] = []
    lines_found: list[UnprobedDevice] = []
    first_core = 0
    listed = records(inner(document, "mlas") if isinstance(document, dict) else document)
    for record in sorted(listed, key=lambda r: number(r, "neuron_device")):
        found = _device(record, chips, first_core)
        first_core += max(0, int(number(record, "nc_count")))
        if isinstance(found, Device):
            devices.append(found)
        else:
            lines_found.append(found)
    seen = {device.id.removeprefix("neuron-") for device in devices}
    missing = [f for f in functions if f.address not in seen] if not lines_found else []
    if missing:
        lines_found.extend(unprobed(VENDOR, missing, "neuron-ls does not list it", TOOL_HINT))
    return Detection(tuple(devices), tuple(lines_found))


def use(probe: Probe, devices: Sequence[Device]) -> tuple[DeviceUse, ...]:
    """Return the memory in use. Core utilisation comes from neuron-monitor alone, which never ends: it is not asked."""
    uses = []
    for device in devices:
        paths = probe.glob(MEMORY_FILES.format(index=device.index))
        amounts = [amount for path in paths if (amount := probe.read(path)).isdigit()]
        used = sum(int(amount) for amount in amounts) if amounts else -1
        uses.append(DeviceUse(device_id=device.id, memory_used_bytes=used))
    return tuple(uses)


def _device(record: Record, chips: dict[str, str], first_core: int) -> Device | UnprobedDevice:
    index, cores = int(number(record, "neuron_device")), int(number(record, "nc_count"))
    address = normal_address(text(record, "bdf"))
    chip = chips.get(address, "")
    where = f"/dev/neuron{index}"
    if index < 0 or cores <= 0 or not address:
        why = "neuron-ls does not tell its cores or address"
        return UnprobedDevice(vendor=VENDOR, where=where, why=why, hint=TOOL_HINT)
    if not chip:
        why = f"no known Neuron chip is at PCI address {address}"
        return UnprobedDevice(vendor=VENDOR, where=where, why=why, hint="A newer release of Lepton AI may know it.")
    ids = inner(record, "neuroncore_ids")
    numbers = [i for i in ids if isinstance(i, int)] if isinstance(ids, list) else []
    first, last = (min(numbers), max(numbers)) if numbers else (first_core, first_core + cores - 1)
    memory_bytes = size(record, "memory_size")
    return Device(
        id=f"neuron-{address}",
        index=index,
        vendor=VENDOR,
        kind=f"aws-{chip}-{sold_size(memory_bytes)}gb",
        model=f"AWS {chip[:-1].capitalize()}{chip[-1]} ({cores} NeuronCores)",
        memory_bytes=memory_bytes,
        environment=(("NEURON_RT_VISIBLE_CORES", f"{first}-{last}" if last > first else str(first)),),
    )


DETECTOR = Detector(VENDOR, detect, use)
