"""NVIDIA GPUs and their MIG partitions, through NVML."""

from __future__ import annotations

from collections.abc import Sequence

from lepton_ai.node.hardware.detector import Detection, Detector, unprobed
from lepton_ai.node.hardware.kinds import device_kind
from lepton_ai.node.hardware.nvml import NvmlDevice, NvmlFailed, NvmlFault
from lepton_ai.node.hardware.pci import PciFunction, normal_address
from lepton_ai.node.hardware.probe import Probe
from lepton_ai.types.node import Device, DeviceUse, UnprobedDevice

VENDOR = "nvidia"
PCI_VENDOR = 0x10DE
NO_DRIVER_HINT = "Install NVIDIA's driver (Debian, Ubuntu: nvidia-driver), then restart the core."
STALE_HINT = "The driver was updated while it was loaded: restart the machine."
FAULT_HINT = "See what the driver says: sudo dmesg | grep -i nvrm"
MIG_HINT = "Make instances (nvidia-smi mig -cgi 1g.10gb -C) or turn MIG off (nvidia-smi -mig 0), then restart the core."


def detect(probe: Probe) -> Detection:
    """Return every GPU, or its MIG partitions in its place where MIG is on."""
    functions = [f for f in probe.pci() if f.vendor == PCI_VENDOR and f.is_accelerator]
    try:
        nvml = probe.nvml()
        if nvml is None:
            return Detection(unprobed=unprobed(VENDOR, functions, "NVIDIA's driver is not installed", NO_DRIVER_HINT))
        driver, found = nvml.driver_version(), nvml.devices()
    except NvmlFailed as failure:
        hint = STALE_HINT if failure.is_stale else NO_DRIVER_HINT
        files = " ".join(probe.glob("/dev/nvidia[0-9]*"))
        return Detection(unprobed=unprobed(VENDOR, functions, f"NVML answers: {failure}", hint, elsewhere=files))
    gpus = [gpu for gpu in found if isinstance(gpu, NvmlDevice)]
    faults = [gpu for gpu in found if isinstance(gpu, NvmlFault)]
    devices = tuple(device for gpu in gpus for device in _devices(gpu, driver))
    return Detection(devices, (*_unusable(gpus, faults), *_uncounted(functions, gpus, faults)))


def use(probe: Probe, devices: Sequence[Device]) -> tuple[DeviceUse, ...]:
    """Return what NVML tells of each device now."""
    try:
        nvml = probe.nvml()
    except NvmlFailed:
        nvml = None
    if nvml is None:
        return tuple(DeviceUse(device_id=device.id) for device in devices)
    return tuple(nvml.use_of(device.id) for device in devices)


def _devices(gpu: NvmlDevice, driver: str) -> list[Device]:
    kind = device_kind(VENDOR, gpu.name, gpu.memory_bytes)
    whole = Device(
        id=gpu.uuid,
        index=gpu.index,
        vendor=VENDOR,
        kind=kind,
        model=gpu.name,
        memory_bytes=gpu.memory_bytes,
        driver=driver,
        # By UUID, since CUDA counts by speed and NVML by bus address.
        environment=(("CUDA_VISIBLE_DEVICES", gpu.uuid),),
    )
    if not gpu.has_mig:
        return [whole]
    partitions = []
    for piece in gpu.slices:
        profile = piece.name.rpartition("MIG ")[2].strip()  # "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
        partitions.append(
            whole.replace(
                id=piece.uuid,
                kind=f"{kind}-mig-{profile}",
                model=piece.name,
                memory_bytes=piece.memory_bytes,
                partition=profile,
                environment=(("CUDA_VISIBLE_DEVICES", piece.uuid),),
            )
        )
    return partitions


def _unusable(gpus: Sequence[NvmlDevice], faults: Sequence[NvmlFault]) -> list[UnprobedDevice]:
    found = [
        UnprobedDevice(vendor=VENDOR, where=f"GPU {fault.index}", why=f"NVML answers: {fault.why}", hint=FAULT_HINT)
        for fault in faults
    ]
    for gpu in gpus:
        if gpu.has_mig and not gpu.slices:
            why = f"MIG is on for {gpu.name}, but no MIG instance exists"
            found.append(UnprobedDevice(vendor=VENDOR, where=f"GPU {gpu.index}", why=why, hint=MIG_HINT))
    return found


def _uncounted(
    functions: Sequence[PciFunction], gpus: Sequence[NvmlDevice], faults: Sequence[NvmlFault]
) -> tuple[UnprobedDevice, ...]:
    seen = {normal_address(gpu.address) for gpu in gpus}
    # A GPU with a fault does not tell its address, so that it must not be listed a second time.
    missing = [function for function in functions if function.address not in seen] if not faults else []
    if not missing:
        return ()
    return unprobed(
        VENDOR, missing, "NVIDIA's driver does not count it: it may be too old, or held by another driver", FAULT_HINT
    )


DETECTOR = Detector(VENDOR, detect, use)
