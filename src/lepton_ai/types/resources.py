"""What a replica asks for, and what it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator, model_validator

from lepton_ai.types.base import Model
from lepton_ai.types.quantity import Bytes, parse_bytes
from lepton_ai.types.where import Where

WHOLE_DEVICE_MILLI = 1000  # Shares of a device are counted in thousandths.
ACCELERATORS_MAX = 64  # per replica: more than any single node on the market carries
CPU_MAX = 4096.0
MEMORY_BYTES_MIN = 10**6  # less is a forgotten unit
_SPEC = re.compile(r"^(?:(?P<what>[^:]*):)?(?P<count>\d+(?:\.\d+)?)$")
_RANGE = re.compile(r"^(?P<low>[^.]+(?:\.\d+)?\w*)\.\.(?P<high>.+)$")


class AcceleratorRequest(Model):
    """Devices wanted by one replica.

    `kind` is a part of a device kind ("h100", "nvidia", "tpu-v5e"), or several ("h100|a100"), of which any will do;
    empty takes any accelerator. `count` whole devices,
    or a `share_milli` below 1000 of a single one. Memory bounds are per device; a maximum of 0 means no upper bound.
    """

    kind: Annotated[str, Field(max_length=256)] = ""
    count: Annotated[int, Field(ge=1, le=ACCELERATORS_MAX)] = 1
    share_milli: Annotated[int, Field(ge=1, le=WHOLE_DEVICE_MILLI)] = WHOLE_DEVICE_MILLI
    memory_bytes_min: Bytes = 0
    memory_bytes_max: Bytes = 0

    @model_validator(mode="after")
    def _check(self) -> AcceleratorRequest:
        if self.share_milli < WHOLE_DEVICE_MILLI and self.count != 1:
            raise ValueError(f"a share of {self.share_milli}/1000 is of one device, not of {self.count}")
        if self.memory_bytes_max and self.memory_bytes_max < self.memory_bytes_min:
            raise ValueError("the upper memory bound is below the lower one")
        return self


def parse_accelerator(value: Any) -> Any:
    """Read "h100:1", "h100", "24GB..80GB:2", 1, 0.5 or "nvidia:0.5"; anything else is left to the model."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    text = str(value).strip()
    found = _SPEC.match(text)
    what, count = (found["what"] or "", float(found["count"])) if found else (text, 1.0)
    if ":" in what:
        raise ValueError(f"{text[:64]!r}: write a kind and a number, such as h100:1, or a range, such as 24GB..80GB:2")
    request: dict[str, Any] = {}
    if not 0 < count <= ACCELERATORS_MAX or (count > 1 and not count.is_integer()):
        raise ValueError(f"{text!r}: ask for a share between 0 and 1 or for 1 to {ACCELERATORS_MAX} whole devices")
    if count < 1:
        request["share_milli"] = max(1, round(count * WHOLE_DEVICE_MILLI))
    else:
        request["count"] = int(count)
    bounds = _RANGE.match(what)
    if bounds:
        request |= {"memory_bytes_min": parse_bytes(bounds["low"]), "memory_bytes_max": parse_bytes(bounds["high"])}
    elif what[:1].isdigit():
        request["memory_bytes_min"] = parse_bytes(what)
    elif not found and not what[:1].isalpha():
        raise ValueError(f"{text[:64]!r} is neither a kind of device nor a number of them: write 1, 0.5 or h100:1")
    else:
        request["kind"] = what.lower()
    return request


def _check_memory(amount: int) -> int:
    if amount < MEMORY_BYTES_MIN:
        raise ValueError(f"{amount} bytes of memory run nothing: write 512MB or 4GB, at least 1MB")
    return amount


class Resources(Model):
    """What one replica needs. `cpu` may be a fraction; memory is a limit that holds, not a wish.

    Whoever writes `memory` means it; what is left out is learnt from runs (`memory_is_stated` is not to be written).
    `where` names the nodes that will do by their labels, all conditions together: `["site=berlin|paris", "rack!=r3"]`.
    """

    cpu: Annotated[float, Field(ge=0.001, le=CPU_MAX)] = 1.0
    memory: Annotated[Bytes, AfterValidator(_check_memory)] = 512 * 10**6
    memory_is_stated: bool = False
    processes: Annotated[int, Field(ge=1, le=2**22)] = 4096
    accelerator: AcceleratorRequest | None = None
    where: Where = ()

    @model_validator(mode="before")
    @classmethod
    def _note_what_is_stated(cls, value: Any) -> Any:
        if isinstance(value, dict) and "memory" in value and "memory_is_stated" not in value:
            return {**value, "memory_is_stated": True}
        return value

    @model_validator(mode="before")
    @classmethod
    def _gpu_is_an_accelerator(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "gpu" not in value:
            return value
        if "accelerator" in value:
            raise ValueError("say either gpu or accelerator, not both")
        return {**{k: v for k, v in value.items() if k != "gpu"}, "accelerator": value["gpu"]}

    @field_validator("accelerator", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        return parse_accelerator(value)

    @property
    def cpu_milli(self) -> int:
        return max(1, round(self.cpu * 1000))


@dataclass(frozen=True, slots=True)
class DeviceShare:
    """A part of one device, in thousandths."""

    device_id: str
    share_milli: int = WHOLE_DEVICE_MILLI


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one replica (by rank) holds on one node. `resource_class` is what its speed is measured under."""

    rank: int
    node: str
    cpu_milli: int
    memory_bytes: int
    resource_class: str
    devices: tuple[DeviceShare, ...] = ()
