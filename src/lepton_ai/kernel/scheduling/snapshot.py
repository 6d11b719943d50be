"""What the scheduler is given and what it answers: values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from lepton_ai.types.resources import WHOLE_DEVICE_MILLI, AcceleratorRequest, Allocation
from lepton_ai.types.share import BudgetState
from lepton_ai.types.where import Condition


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One allocatable accelerator of a node."""

    id: str
    kind: str
    memory_bytes: int
    share_milli: int = 1000


@dataclass(frozen=True, slots=True)
class Price:
    """What an hour of a whole node costs, and what that whole is."""

    per_hour: float
    cpu_milli: int
    memory_bytes: int
    devices: int = 0

    def of(self, cpu_milli: int, memory_bytes: int, devices_milli: int) -> float:
        """Return what an hour of these amounts costs: of the price the part that the scarcest of them is."""
        part = max(cpu_milli / max(self.cpu_milli, 1), memory_bytes / max(self.memory_bytes, 1))
        if devices_milli and self.devices:
            part = max(part, devices_milli / WHOLE_DEVICE_MILLI / self.devices)
        return self.per_hour * min(part, 1.0)


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node's allocatable capacity. What running tasks hold is subtracted by the scheduler, not here.

    `foreign_bytes` of its memory are used by processes that are not ours; they are not in `memory_bytes`. `labels` are
    in the order of their keys.
    """

    name: str
    cpu_class: str
    cpu_milli: int
    memory_bytes: int
    devices: tuple[DeviceView, ...] = ()
    is_schedulable: bool = True
    foreign_bytes: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    price: Price | None = None  # None: it costs nothing


@dataclass(frozen=True, slots=True)
class Demand:
    """What each replica of a gang of `size` needs, on nodes that meet all conditions of `where` (in sorted order).

    All of it together may still cost `money`; None sets no limit. With `per_node`, exactly so many replicas share each
    node; 0 lets them lie as they fit.
    """

    cpu_milli: int
    memory_bytes: int
    accelerator: AcceleratorRequest | None = None
    size: int = 1
    where: tuple[Condition, ...] = ()
    money: float | None = None
    per_node: int = 0


@dataclass(frozen=True, slots=True)
class Expectation:
    """How long a task will run on one resource class, in seconds, and where that comes from."""

    median: float
    p80: float
    source: str  # "stated", "measured", "inferred" or "guessed"
    mean: float = 0.0  # orders the queue; 0: not said, the median stands for it


@dataclass(frozen=True, slots=True)
class Restart:
    """What it costs to stop a task and start it again later: seconds of its time, and all it did without a checkpoint.

    `grace_seconds` is how long it may take to stop once it got notice.
    """

    seconds: float = 0.0
    resumes: bool = True
    grace_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class WaitingTask:
    """A task that holds nothing yet. `expectations` maps a resource class; "" is used for classes not named.

    Without a `restart` it is never preempted once it runs. Others were stopped for one with `has_claim`: it goes first.
    For one that was preempted, `expectations` are what is left of it with what its next start costs, and `submitted_at`
    is moved on by the time that it ran.
    """

    id: str
    name: str
    demand: Demand
    weight: float
    submitted_at: datetime
    expectations: Mapping[str, Expectation]
    is_service: bool = False  # runs until stopped: its expectations place it in the queue, and say nothing of its end
    restart: Restart | None = None
    has_claim: bool = False
    project: str = ""
    due_at: datetime | None = None  # its weight rises as this comes near (see `urgency`)


@dataclass(frozen=True, slots=True)
class Stake:
    """What a running task that may be preempted stands to lose.

    `expectations` is what was left of it at `as_of`, on each class, as for a waiting task; it runs since `since`.
    """

    weight: float
    expectations: Mapping[str, Expectation]
    as_of: datetime
    since: datetime
    restart: Restart
    waited_seconds: float = 0.0  # how long it had waited in all before it started
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task that holds its allocations until about `expected_end` (80th percentile; None runs until stopped).

    `demand` is what it asked for, which tells what else it could have been given. Without a `stake` it is never
    preempted; nor is one that is being stopped already, which ends after its grace.
    """

    id: str
    name: str
    allocations: tuple[Allocation, ...]
    expected_end: datetime | None = None
    demand: Demand | None = None
    stake: Stake | None = None
    is_stopping: bool = False
    project: str = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Amounts by resource; None where nothing is said. `devices` maps (a part of) a kind to thousandths, "" is all."""

    cpu_milli: int | None = None
    memory_bytes: int | None = None
    devices: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProjectView:
    """A project that shares the machines with others; its bounds hold for it and all below it together (`shares`).

    `budget_text` names the bound that was reached, with its number; `stops` ends even what may not be preempted.
    """

    name: str
    parent: str = ""
    quota: Bounds = Bounds()
    limit: Bounds = Bounds()
    weight: float = 1.0
    may_borrow: bool = True
    budget: BudgetState = BudgetState.OPEN
    budget_text: str = ""
    stops: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole world at one moment. Same snapshot, same plan."""

    now: datetime
    nodes: tuple[NodeView, ...]
    waiting: tuple[WaitingTask, ...]
    running: tuple[RunningTask, ...]
    projects: tuple[ProjectView, ...] = ()  # none: the queue is one, whoever submitted what


class Refusal(StrEnum):
    """Why a task does not start now."""

    TOO_LARGE = "too_large"  # would not fit on the empty machines that there are
    NO_SUCH_DEVICE = "no_such_device"
    NO_NODES = "no_nodes"
    NO_SUCH_PLACE = "no_such_place"  # no node has the labels that it asks for
    TOO_DEAR = "too_dear"  # would cost more than it may wherever it fits
    BUSY = "busy"  # fits in principle; others hold what it needs
    RESERVED = "reserved"  # would fit now but would delay the head of the queue
    QUOTA = "quota"  # its project, or one above that, holds all that it may
    BUDGET = "budget"  # its project, or one above that, has used up all that it may


@dataclass(frozen=True, slots=True)
class Placement:
    """Start this task here, now. `terms` are the few numbers that reproduce the decision."""

    task_id: str
    allocations: tuple[Allocation, ...]
    expected_seconds: float
    sentence: str
    terms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    """Do not start this task now, and why. `expected_start` is None where nobody can say."""

    task_id: str
    refusal: Refusal
    sentence: str
    rank: int  # place in the queue, from 1
    expected_start: datetime | None = None
    terms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preemption:
    """Stop this running task, with notice, so that `for_task` can start; `terms` reproduce the decision.

    Where a budget is used up, `for_task` is "project/NAME"; where a project gets its own back, `for_project` names it.
    """

    task_id: str
    for_task: str
    sentence: str
    terms: Mapping[str, float] = field(default_factory=dict)
    for_project: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now. Every waiting task of the snapshot is in exactly one of placements and waits.

    Those that are preempted still hold what they hold: who they make room for waits, and starts once they are gone.
    """

    placements: tuple[Placement, ...] = ()
    waits: tuple[Wait, ...] = ()
    preemptions: tuple[Preemption, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers that the order depends on; an operator may change them, the code has no others."""

    ageing_tau: timedelta = timedelta(minutes=2)  # waiting so long doubles an index (longer where a start is for good)
    starvation_bound: timedelta = timedelta(days=7)  # waiting longer puts it before everything younger
    reservations: int = 4  # how many waiting tasks at the head hold a reservation against backfill
    preemption_gain: float = 3.0  # preempt if the weighted time that it saves is this many times what it costs
    preemption_pause: float = 30.0  # nobody is preempted before he ran this many times what his restart costs
    reassignment: timedelta = timedelta(minutes=1)  # at least so long between decisions who is moved to another class
    urgency: float = 16.0  # a task that is late, or will be if it waits, weighs at most so many times as much
    foresight: timedelta = timedelta(minutes=10)  # shorter tasks rise towards their due moment as one so long does
    fairness: float = 1.0  # a task's weight is multiplied by (its project's share / what that holds) to this power
