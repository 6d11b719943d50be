"""What `lepton resources`, `lepton queue` and the advice on placement show."""

from __future__ import annotations

from pydantic import AwareDatetime

from lepton_ai.types.base import Model


class ResourceView(Model):
    """One allocatable resource: the CPUs of a node, or one device. Shares are 0..1; -1 is "not measured"."""

    number: int
    name: str
    node: str
    kind: str  # "cpu" or "device"
    resource_class: str
    model: str
    utilisation: float
    memory_used_bytes: int
    memory_bytes: int
    allocation: int  # how many tasks hold a part of it
    allocated: float
    tasks: tuple[str, ...] = ()


class QueueEntry(Model):
    """One waiting task, in the order in which the scheduler would start them."""

    rank: int
    task: str
    owner_kind: str
    owner_name: str
    weight: float
    refusal: str
    sentence: str
    expected_start: AwareDatetime | None = None


class ResourceChoice(Model):
    """One resource class that a task could run on. `source` says whether the seconds are measured or estimated.

    `relative_speed` counts the slowest of the choices as 1; it is true within a factor of `speed_spread` two times out
    of three. `speed_source` is "measured", "inferred" or "guessed", `speed_because` says from what. The price of
    an hour and the expected cost of the whole are None where its nodes have no price.
    """

    resource_class: str
    nodes: tuple[str, ...]
    expected_seconds: float
    p80_seconds: float
    source: str
    is_free_now: bool
    relative_speed: float = 1.0
    speed_spread: float = 1.0
    speed_source: str = "guessed"
    speed_because: str = ""
    price_per_hour: float | None = None
    expected_cost: float | None = None
