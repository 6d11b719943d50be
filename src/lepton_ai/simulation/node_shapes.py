"""Nodes that are only imagined: common machines by name, such as `2xh100`, or any that is written down."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.scheduling.snapshot import DeviceView, NodeView
from lepton_ai.types.quantity import parse_bytes

NODES_MAX = 20_000
CPUS_MAX = 4096
DEVICES_MAX = 64  # as many as one replica may ask for
GB, GIB = 10**9, 2**30
_COUNTED = re.compile(r"(?:(?P<count>\d{1,6})\s*x\s*)?(?P<shape>.+)", re.IGNORECASE)
_FORM = "NxKIND, such as 2xh100, or Nxcpu=64,memory=512GB,h100=8"


@dataclass(frozen=True, slots=True)
class NodeShape:
    """What one machine has: hardware threads, memory, and devices of one kind. `source` is who sells it so."""

    cpus: float
    memory_bytes: int
    kind: str = ""
    devices: int = 0
    device_bytes: int = 0
    source: str = ""

    def node(self, name: str) -> NodeView:
        """Return a machine of this shape."""
        devices = (DeviceView(f"{name}-{index}", self.kind, self.device_bytes) for index in range(self.devices))
        return NodeView(name, "cpu", round(self.cpus * 1000), self.memory_bytes, tuple(devices))


# What the vendors' data sheets and instance tables say; the kinds are those that detection gives such devices.
SHAPES: Mapping[str, NodeShape] = {
    "cpu": NodeShape(64, 256 * GIB, source="AWS m7i.16xlarge"),
    "t4": NodeShape(96, 384 * GIB, "nvidia-t4-16gb", 8, 16 * GB, "AWS g4dn.metal"),
    "l4": NodeShape(96, 384 * GIB, "nvidia-l4-24gb", 8, 24 * GB, "Google Cloud g2-standard-96"),
    "a10g": NodeShape(192, 768 * GIB, "nvidia-a10g-24gb", 8, 24 * GB, "AWS g5.48xlarge"),
    "l40s": NodeShape(192, 1536 * GIB, "nvidia-l40s-48gb", 8, 48 * GB, "AWS g6e.48xlarge"),
    "v100": NodeShape(80, 512 * GB, "nvidia-v100-32gb", 8, 32 * GB, "NVIDIA DGX-1 (V100, 32 GB)"),
    "a100": NodeShape(256, 2000 * GB, "nvidia-a100-80gb", 8, 80 * GB, "NVIDIA DGX A100 640GB"),
    "h100": NodeShape(224, 2000 * GB, "nvidia-h100-80gb", 8, 80 * GB, "NVIDIA DGX H100"),
    "h200": NodeShape(224, 2000 * GB, "nvidia-h200-141gb", 8, 141 * GB, "NVIDIA DGX H200"),
    "b200": NodeShape(224, 2000 * GB, "nvidia-b200-180gb", 8, 180 * GB, "NVIDIA DGX B200"),
    "mi300x": NodeShape(96, 1850 * GIB, "amd-mi300x-192gb", 8, 192 * GB, "Azure ND MI300X v5"),
    "tpu-v5e": NodeShape(224, 384 * GB, "tpu-v5e", 8, 16 * GB, "Google Cloud ct5lp-hightpu-8t"),
    "trainium": NodeShape(128, 512 * GIB, "aws-trainium-32gb", 16, 32 * GB, "AWS trn1.32xlarge"),
}


def imagined(text: str, prefix: str = "added") -> Sequence[NodeView]:
    """Return the nodes that `text` asks for, named `PREFIX-KIND-NUMBER`; several sorts are parted by `+`.

    Raises InvalidInput, which names the part that is wrong.
    """
    nodes: list[NodeView] = []
    for part in text.split("+"):
        found = _COUNTED.fullmatch(part.strip())
        if not found:
            raise InvalidInput(f"{text[:80]!r} names no nodes.", hint=f"Write {_FORM}.")
        count, word = int(found["count"] or 1), found["shape"].strip().lower()
        if not 1 <= count <= NODES_MAX - len(nodes):
            raise InvalidInput(
                f"{part.strip()[:80]!r} asks for {count:,} nodes; 1 to {NODES_MAX:,} in all are possible."
            )
        shape = _written_down(word) if "=" in word else _by_name(word)
        label = shape.kind.split("-")[1] if shape.kind.count("-") else shape.kind or "cpu"
        nodes += [shape.node(f"{prefix}-{label}-{len(nodes) + number:03}") for number in range(1, count + 1)]
    return nodes


def _by_name(word: str) -> NodeShape:
    if word not in SHAPES:
        raise InvalidInput(
            f"There is no node kind {word[:40]!r}. Known: {', '.join(SHAPES)}.",
            hint="Or write down what it has: cpu=64,memory=512GB,h100=8",
        )
    return SHAPES[word]


def _written_down(text: str) -> NodeShape:
    """Read `cpu=64,memory=512GB,h100=8`: one kind of device at most, known ones with their memory."""
    amounts: dict[str, str] = {}
    for pair in text.split(","):
        name, equals, value = (word.strip() for word in pair.partition("="))
        if not equals or not name or not value or name in amounts:
            raise InvalidInput(f"{pair[:40]!r} in {text[:80]!r} is not one NAME=AMOUNT.", hint=f"Write {_FORM}.")
        amounts[name] = value
    cpus = _number("cpu", amounts.pop("cpu", "0"), CPUS_MAX)
    try:
        memory = parse_bytes(amounts.pop("memory", "0"))
        device_bytes = parse_bytes(amounts.pop("device_memory", "0"))
    except ValueError as error:
        raise InvalidInput(f"{text[:80]!r}: {error}.") from error
    if len(amounts) > 1:
        names = ", ".join(amounts)
        raise InvalidInput(
            f"{text[:80]!r} has devices of several kinds: {names[:80]}.", hint="Give each its nodes: A+B."
        )
    name, count = next(iter(amounts.items()), ("", "0"))
    devices = int(_number(name, count, DEVICES_MAX))
    known = SHAPES.get(name)
    kind = (known.kind if known else name) if devices else ""
    return NodeShape(cpus, memory, kind, devices, device_bytes or (known.device_bytes if known else 0), "as written")


def _number(name: str, text: str, most: int) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount <= most:
        raise InvalidInput(f"{name}={text[:20]} is no number from 0 to {most}.", hint=f"Write {_FORM}.")
    return amount
