"""The seam to NVIDIA's management library: the few questions that we ask of it, as values."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Protocol, TypeVar

from lepton_ai.types.node import DeviceUse

Answer = TypeVar("Answer")
MIG_SLICES_MAX = 16  # NVML names at most 7 on today's GPUs


class NvmlFailed(Exception):
    """The library is missing or refuses; the message says why, `is_stale` that driver and library disagree."""

    def __init__(self, why: str, *, is_stale: bool = False) -> None:
        super().__init__(why)
        self.is_stale = is_stale


@dataclass(frozen=True, slots=True)
class NvmlSlice:
    """One MIG device of a GPU."""

    uuid: str
    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class NvmlDevice:
    """One GPU. `slices` are its MIG devices where `has_mig`; the whole GPU is then not usable as such."""

    index: int
    uuid: str
    name: str
    memory_bytes: int
    address: str
    has_mig: bool = False
    slices: tuple[NvmlSlice, ...] = ()


@dataclass(frozen=True, slots=True)
class NvmlFault:
    """A GPU that the driver counts but cannot tell about, for example one that fell off the bus."""

    index: int
    why: str


class Nvml(Protocol):
    """What detection asks. `PynvmlNvml` asks the driver; tests answer themselves."""

    def driver_version(self) -> str:
        """Return the driver's version."""

    def devices(self) -> tuple[NvmlDevice | NvmlFault, ...]:
        """Return every GPU that the driver counts."""

    def use_of(self, uuid: str) -> DeviceUse:
        """Return what the GPU or MIG device does now; fields that the driver refuses stay negative."""


class PynvmlNvml:
    """NVML through pynvml. It stays initialised: initialising takes up to a second on machines with many GPUs."""

    def __init__(self, library: ModuleType | None = None) -> None:
        nvml = library or import_module("pynvml")  # Importing it takes 20 ms, which most machines need not pay.
        self._nvml = nvml
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            stale = getattr(error, "value", None) == nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
            raise NvmlFailed(str(error), is_stale=stale) from error

    def driver_version(self) -> str:
        return self._ask("nvmlSystemGetDriverVersion", "")

    def devices(self) -> tuple[NvmlDevice | NvmlFault, ...]:
        try:
            count = int(self._nvml.nvmlDeviceGetCount())
        except self._nvml.NVMLError as error:
            raise NvmlFailed(str(error)) from error
        return tuple(self._device(index) for index in range(count))

    def use_of(self, uuid: str) -> DeviceUse:
        nvml = self._nvml
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        except nvml.NVMLError:
            return DeviceUse(device_id=uuid)
        changes: dict[str, float | int] = {}
        for field, function, arguments, convert in (
            ("utilisation", "nvmlDeviceGetUtilizationRates", (), lambda rates: rates.gpu / 100),
            ("memory_used_bytes", "nvmlDeviceGetMemoryInfo", (), lambda memory: int(memory.used)),
            ("temperature_celsius", "nvmlDeviceGetTemperature", (nvml.NVML_TEMPERATURE_GPU,), float),
            ("power_watts", "nvmlDeviceGetPowerUsage", (), lambda milliwatts: milliwatts / 1000),
        ):
            try:
                changes[field] = convert(getattr(nvml, function)(handle, *arguments))
            except nvml.NVMLError:
                continue  # MIG devices and consumer cards refuse some of these; negative says so.
        return DeviceUse(device_id=uuid).replace(**changes)

    def _device(self, index: int) -> NvmlDevice | NvmlFault:
        nvml = self._nvml
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            uuid, name = nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)
        except nvml.NVMLError as error:
            return NvmlFault(index, str(error))
        mode: list[int] = self._ask("nvmlDeviceGetMigMode", [0, 0], handle)
        return NvmlDevice(
            index=index,
            uuid=_text(uuid),
            name=_text(name),
            memory_bytes=self._memory_of(handle),
            address=_text(self._address_of(handle)),
            has_mig=bool(mode[0]),
            slices=self._slices(handle) if mode[0] else (),
        )

    def _slices(self, handle: object) -> tuple[NvmlSlice, ...]:
        nvml, found = self._nvml, []
        for index in range(MIG_SLICES_MAX):
            try:
                slice_handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
                uuid, name = nvml.nvmlDeviceGetUUID(slice_handle), nvml.nvmlDeviceGetName(slice_handle)
            except nvml.NVMLError:
                continue  # Numbers of slices that were destroyed stay empty.
            found.append(NvmlSlice(_text(uuid), _text(name), self._memory_of(slice_handle)))
        return tuple(found)

    def _memory_of(self, handle: object) -> int:
        try:
            return int(self._nvml.nvmlDeviceGetMemoryInfo(handle).total)
        except self._nvml.NVMLError:
            return 0  # GPUs that share the machine's memory (GB10, Jetson) have none of their own.

    def _address_of(self, handle: object) -> str | bytes:
        try:
            address: str | bytes = self._nvml.nvmlDeviceGetPciInfo(handle).busId
        except self._nvml.NVMLError:
            return ""
        return address

    def _ask(self, function: str, default: Answer, *arguments: object) -> Answer:
        try:
            answer: Answer = getattr(self._nvml, function)(*arguments)
        except self._nvml.NVMLError:
            return default
        return answer


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
