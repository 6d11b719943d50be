"""FPGA cards: AMD (Xilinx) through xrt-smi or xbutil, Intel (Altera) through fpgainfo."""

from __future__ import annotations

import re
from itertools import pairwise

from lepton_ai.node.hardware.detector import Detection, Detector, unknown_use, unprobed
from lepton_ai.node.hardware.fields import Record, inner, parse_json, records, text
from lepton_ai.node.hardware.pci import PciFunction, normal_address
from lepton_ai.node.hardware.probe import OUTPUT_FILE, Probe, ProbeFailed
from lepton_ai.types.node import Device, UnprobedDevice

VENDOR = "fpga"
XILINX = 0x10EE
INTEL = 0x8086
# Ids of the kernel's driver for Intel's FPGA cards (drivers/fpga/dfl-pci.c).
INTEL_CARDS = {0xBCBD, 0xBCC0, 0x09C4, 0x0B30, 0x0B2B, 0xBCCE, 0xBCCF}
XRT_HINT = "Install the Xilinx Runtime (package xrt) and the card's platform, then restart the core."
OPAE_HINT = "Install OPAE (package opae.admin brings fpgainfo), then restart the core."
TOOL_HINT = "Run the tool by hand to see what it says; fpgainfo needs root or access to /dev/dfl-fme.*."
_PLACE = re.compile(r"^PCIe s:b:d\.f\s*:\s*(\S+)", re.MULTILINE)
_BITSTREAM = re.compile(r"^Bitstream Version\s*:\s*(\S+)", re.MULTILINE)
_BOARD = re.compile(r"^(?:Intel|Silicom|Altera|BittWare)\b.*$", re.MULTILINE)


def detect(probe: Probe) -> Detection:
    """Return the cards of both makers that carry a platform which work can be loaded into."""
    xilinx = [function for function in probe.pci() if function.vendor == XILINX]
    intel = [function for function in probe.pci() if function.vendor == INTEL and function.device in INTEL_CARDS]
    found = [_detect_xilinx(probe, xilinx)] if xilinx else []
    found += [_detect_intel(probe, intel)] if intel else []
    devices = tuple(device for detection in found for device in detection.devices)
    lines = tuple(line for detection in found for line in detection.unprobed)
    return Detection(tuple(device.replace(index=i) for i, device in enumerate(devices)), lines)


def _detect_xilinx(probe: Probe, functions: list[PciFunction]) -> Detection:
    tool = next((name for name in ("xrt-smi", "xbutil") if probe.has(name)), "")
    if not tool:
        return Detection(unprobed=unprobed(VENDOR, functions, "neither xrt-smi nor xbutil is installed", XRT_HINT))
    try:
        # Asked for JSON, these tools still print text: the JSON goes to a file only (Xilinx/XRT issue 6029).
        document = parse_json(tool, probe.run(tool, "examine", "-f", "JSON", "-o", OUTPUT_FILE))
    except ProbeFailed as failure:
        return Detection(unprobed=unprobed(VENDOR, functions, str(failure), TOOL_HINT))
    host = inner(document, "system", "host")
    devices: list[Device] = []
    lines: list[UnprobedDevice] = []
    for record in records(inner(host, "devices")):
        found = _xilinx_device(record, text(host, "xrt", "version"))
        if isinstance(found, Device):
            devices.append(found)
        else:
            lines.append(found)
    # One card shows two functions, one of them for its management alone, so that cards are compared without it.
    seen = {d.id.removeprefix("fpga-").partition(".")[0] for d in devices} | {w.where.partition(".")[0] for w in lines}
    missing = [f for f in functions if f.address.partition(".")[0] not in seen]
    if missing:
        lines.extend(unprobed(VENDOR, missing, f"{tool} does not list it", XRT_HINT))
    return Detection(tuple(devices), tuple(lines))


def _xilinx_device(record: Record, runtime: str) -> Device | UnprobedDevice:
    address, platform = normal_address(text(record, "bdf")), text(record, "vbnv")
    board = re.match(r"xilinx_([a-z0-9]+)_", platform, re.IGNORECASE)
    if not board or not address:
        why = f"{text(record, 'name') or platform or 'it'} is not an FPGA platform that is known here"
        return UnprobedDevice(vendor=VENDOR, where=address or "XRT", why=why, hint=TOOL_HINT)
    if text(record, "is_ready").lower() not in {"true", "yes", "1"} and inner(record, "is_ready") is not True:
        why = f"XRT says that {platform} is not ready"
        return UnprobedDevice(vendor=VENDOR, where=address, why=why, hint="Flash its platform: xbmgmt program --base")
    return Device(
        id=f"fpga-{address}",
        index=0,
        vendor=VENDOR,
        kind=f"fpga-xilinx-{board[1].lower()}",
        model=platform,
        driver=runtime,
        # No variable of the maker's limits a process to one card; ours tells the program which one it holds.
        environment=(("LEPTON_FPGA", address),),
    )


def _detect_intel(probe: Probe, functions: list[PciFunction]) -> Detection:
    if not probe.has("fpgainfo"):
        return Detection(unprobed=unprobed(VENDOR, functions, "fpgainfo is not installed", OPAE_HINT))
    try:
        output = probe.run("fpgainfo", "fme")
    except ProbeFailed as failure:
        return Detection(unprobed=unprobed(VENDOR, functions, str(failure), TOOL_HINT))
    devices = [device for section in _sections(output) if (device := _intel_device(section))]
    seen = {device.id.removeprefix("fpga-") for device in devices}
    missing = [function for function in functions if function.address not in seen]
    lines = unprobed(VENDOR, missing, "fpgainfo does not tell of it", TOOL_HINT) if missing else ()
    return Detection(tuple(devices), lines)


def _sections(output: str) -> list[str]:
    """Return the text on each card: it starts with the board's name, before the rule that says FME."""
    starts = [match.start() for match in _BOARD.finditer(output)]
    return [output[start:end] for start, end in pairwise([*starts, len(output)])]


def _intel_device(section: str) -> Device | None:
    place, board = _PLACE.search(section), section.splitlines()[0].strip()
    address = normal_address(place[1]) if place else ""
    if not address:
        return None
    version = _BITSTREAM.search(section)
    return Device(
        id=f"fpga-{address}",
        index=0,
        vendor=VENDOR,
        kind=f"fpga-intel-{board.split()[-1].lower()}",
        model=board,
        driver=f"bitstream {version[1]}" if version else "",
        environment=(("LEPTON_FPGA", address),),
    )


DETECTOR = Detector(VENDOR, detect, unknown_use)
