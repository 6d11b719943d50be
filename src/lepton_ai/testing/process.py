"""One simulated replica: its whole life follows from when it was ordered and what happened to it since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lepton_ai.kernel.runtime import ReplicaOrder
from lepton_ai.testing.behaviour import Behaviour, behaviour_of
from lepton_ai.types.task import ExitKind, Replica, ReplicaExit, ReplicaState

_STOPPED = ReplicaExit(kind=ExitKind.STOPPED)
_TIMED_OUT = ReplicaExit(kind=ExitKind.TIMED_OUT)
LOST = ReplicaExit(kind=ExitKind.LOST, sentence="Its supervisor is gone.")


@dataclass(slots=True)
class Process:
    """`begins_at` is when its program is launched; before, the node only prepares for it."""

    order: ReplicaOrder
    begins_at: datetime
    port: int
    ends_at: datetime | None
    exit: ReplicaExit
    is_forgotten: bool = False
    is_log_deleted: bool = False

    @property
    def behaviour(self) -> Behaviour:
        return behaviour_of(self.order.program.command)

    @property
    def has_succeeded(self) -> bool:
        return self.exit.kind is ExitKind.SUCCEEDED

    def has_begun(self, now: datetime) -> bool:
        """Tell whether its program was launched by `now`."""
        return self.begins_at <= now and (self.ends_at is None or self.ends_at > self.begins_at)

    def has_ended(self, now: datetime) -> bool:
        """Tell whether it is over by `now`, launched or not."""
        return self.ends_at is not None and self.ends_at <= now

    def holds(self, now: datetime) -> bool:
        """Tell whether its program runs, and uses what was given to it."""
        return self.has_begun(now) and not self.has_ended(now)

    def answers(self, now: datetime) -> bool:
        """Tell whether it runs and has warmed up."""
        return self.holds(now) and now >= self.begins_at + timedelta(seconds=self.behaviour.warm_up)

    def stop(self, now: datetime, after: timedelta) -> None:
        """End it on request, `after` from now at the latest; what is not launched yet ends at once."""
        at = now if self.begins_at > now else now + after
        if self.ends_at is None or at < self.ends_at:
            self.ends_at, self.exit = at, _STOPPED

    def kill(self, now: datetime) -> None:
        """Lose it: nobody will know how it would have ended."""
        if self.ends_at is None or now < self.ends_at:
            self.ends_at, self.exit = now, LOST

    def seen_at(self, moment: datetime) -> Replica:
        """Return what a node tells that looked at it at `moment`."""
        began = self.begins_at <= moment and self.has_begun(moment)
        ended = self.has_ended(moment)
        state = ReplicaState.EXITED if ended else ReplicaState.RUNNING if began else ReplicaState.PREPARING
        return Replica(
            rank=self.order.rank,
            node=self.order.allocation.node,
            state=state,
            sentence="" if began or ended else "Gets its environment.",
            limits="simulated",
            port=self.port if began else 0,
            started_at=self.begins_at if began else None,
            finished_at=self.ends_at if ended else None,
            exit=self.exit if ended else None,
        )


def launch(order: ReplicaOrder, begins_at: datetime, port: int) -> Process:
    """Return the process that `order` asks for, with its undisturbed end."""
    behaviour = behaviour_of(order.program.command)
    attempt = int(order.env.get("LEPTON_ATTEMPT", "1"))
    ends = behaviour.end(order.rank, attempt)
    duration = timedelta(0) if ends.kind is ExitKind.NOT_STARTED else behaviour.duration(order.rank, attempt)
    timeout = order.program.timeout
    if timeout is not None and (duration is None or duration > timeout):
        duration, ends = timeout, _TIMED_OUT
    return Process(order, begins_at, port, begins_at + duration if duration is not None else None, ends)
