"""What a project is promised, what it may hold at most, and what it may use up."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from lepton_ai.types.base import Model
from lepton_ai.types.quantity import Bytes

ANY_DEVICE = "*"  # among the accelerators of a quota: devices of any kind
KINDS_MAX = 32
CPUS_MAX = 1e9
DEVICES_MAX = 1e7

Kind = Annotated[str, Field(min_length=1, max_length=256)]
Devices = Annotated[float, Field(ge=0, le=DEVICES_MAX)]


class Amounts(Model):
    """Bounds by resource; what is not named has none.

    `accelerators` maps a device kind, or a part of one as a request names it ("h100"), to devices; "*" is all kinds
    together.
    """

    cpu: Annotated[float, Field(ge=0, le=CPUS_MAX)] | None = None
    memory: Bytes | None = None
    accelerators: Annotated[
        Mapping[Kind, Annotated[float, Field(ge=0, le=DEVICES_MAX)]], Field(max_length=KINDS_MAX)
    ] = {}

    def is_empty(self) -> bool:
        """Tell whether nothing is bounded."""
        return self.cpu is None and self.memory is None and not self.accelerators

    def named(self) -> Mapping[str, float]:
        """Return what is bounded by the names that the command line takes: cpu, memory (bytes), gpu, and kinds."""
        plain = {"cpu": self.cpu, "memory": self.memory}
        devices = {"gpu" if kind == ANY_DEVICE else kind: count for kind, count in self.accelerators.items()}
        return {name: float(amount) for name, amount in plain.items() if amount is not None} | devices


class Ceiling(Model):
    """A bound on what is used up. At `soft` new work waits behind others; at `hard` nothing new starts."""

    soft: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    hard: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class Budget(Model):
    """What a project may use up in all: hours of devices held, and money by the nodes' prices.

    At a hard bound tasks that may be preempted are stopped with notice; `stop` stops the others too.
    """

    device_hours: Ceiling = Ceiling()
    money: Ceiling = Ceiling()
    stop: bool = False

    def is_empty(self) -> bool:
        """Tell whether nothing is bounded."""
        return self.device_hours == self.money == Ceiling()


class BudgetState(StrEnum):
    OPEN = "open"
    SOFT = "soft"  # a soft bound is reached: new work waits behind that of others
    HARD = "hard"  # a hard bound is reached: nothing new starts


class Spent(Model):
    """What was used up so far: seconds that devices were held (a half for a second counts 0.5), and money."""

    device_seconds: float = 0.0
    money: float = 0.0

    def plus(self, other: Spent) -> Spent:
        """Return both together."""
        return Spent(device_seconds=self.device_seconds + other.device_seconds, money=self.money + other.money)


class Held(Model):
    """What the running tasks of a project, and of those below it, hold now.

    `accelerators` is by device kind, with "*" for all together, and by what quota and limit call a kind.
    """

    cpu: float = 0.0
    memory: int = 0
    accelerators: Mapping[str, float] = {}

    def of(self, name: str) -> float:
        """Return what is held of something that a bound names (`Amounts.named`)."""
        plain = {"cpu": self.cpu, "memory": float(self.memory)}
        kind = ANY_DEVICE if name == "gpu" else name
        return plain[name] if name in plain else self.accelerators.get(kind, 0.0)


class ProjectUsage(Model):
    """A project's bounds beside what it holds and has used up."""

    project: str
    parent: str = ""
    weight: float = 1.0
    borrow: bool = True
    held: Held = Held()
    quota: Amounts = Amounts()
    limit: Amounts = Amounts()
    spent: Spent = Spent()
    budget: Budget = Budget()
    state: BudgetState = BudgetState.OPEN
    waiting: int = 0
    warning: str = ""  # what cannot be kept, such as quotas beyond all that there is
