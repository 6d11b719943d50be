"""One scheduling pass: a snapshot in, a plan out."""

from __future__ import annotations

from lepton_ai.kernel.scheduling.collector import paused_collector
from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import Plan, Policy, Snapshot


def schedule(snapshot: Snapshot, policy: Policy = Policy()) -> Plan:  # noqa: B008 - a frozen value
    """Decide what starts now and where, and why the rest waits. Same snapshot, same plan, in whatever order it lists.

    The queue is walked once from its head (see `waiting`). A task takes the option on which it is expected to end
    first, be it by waiting for a faster class. The first tasks that find no room get a reservation; after that a task
    starts only if it will have ended (80th percentile) by then, or leaves what is reserved untouched.
    """
    with paused_collector():
        scheduler = Scheduler(snapshot.nodes, policy)
        scheduler.follow(snapshot)
        return scheduler.plan(snapshot.now, tell=None)
