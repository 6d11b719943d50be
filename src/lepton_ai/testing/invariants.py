"""What must hold at every moment of a simulation, whatever goes wrong."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from lepton_ai.errors import LeptonError
from lepton_ai.kernel.change import Change, Committed
from lepton_ai.testing.process import Process
from lepton_ai.testing.runtime import FakeRuntime
from lepton_ai.types import endpoint, job, task
from lepton_ai.types.base import AnyObject
from lepton_ai.types.endpoint import Endpoint
from lepton_ai.types.job import Job
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI
from lepton_ai.types.task import Task
from lepton_ai.types.where import NODE_KEY, read_where

STOP_SLACK = timedelta(seconds=5)  # two passes and a SIGKILL


class Mistakes(logging.Handler):
    """Collects what the loop caught that is no error of the world around it, but our own mistake."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, LeptonError):
            self.found.append("".join(traceback.format_exception(error)))


class Watch:
    """Looks at every commit and at every machine; raises AssertionError with what it saw."""

    def __init__(self, runtime: FakeRuntime) -> None:
        self._runtime = runtime
        self._states: dict[str, str] = {}
        self._begun: dict[str, Process] = {}
        self._seen: dict[str, AnyObject] = {}
        self.moved: list[AnyObject] = []  # whatever was changed, but for sentences
        self.calm_since: datetime | None = None
        self.most_running = 0
        runtime.on_begin = self._see_order

    def see_commit(self, changes: Sequence[Change], done: Committed) -> None:
        """Check that states move along the tables alone, each with its event, and that tasks keep to their places."""
        notes = {change.object.id: change.notes for change in changes}
        for one in done.seen:
            if _says_something_else(self._seen.get(one.object.id), one.object):
                self.moved.append(one.object)
            self._seen[one.object.id] = one.object
            _check_places(one.object)
            moves = _moves_of(one.object)
            if moves is None:
                continue
            thing, state = one.object, str(one.object.status.state)
            before = self._states.get(thing.id, state)
            self._states[thing.id] = state
            assert type(thing).model_validate_json(thing.model_dump_json()) == thing, f"{thing.id} is not valid"
            if state != before:
                assert state in moves[before], f"{thing.id} went from {before} to {state}"
                assert notes[thing.id], f"{thing.id} went from {before} to {state} without an event"

    def see_machines(self, now: datetime) -> None:
        """Check that no node holds more than it has."""
        running = 0
        for node in self._runtime.fleet.values():
            held = [process.order for process in node.processes.values() if process.holds(now)]
            running += len(held)
            cpu = sum(order.allocation.cpu_milli for order in held)
            memory = sum(order.allocation.memory_bytes for order in held)
            shares: Counter[str] = Counter()
            for order in held:
                shares.update({share.device_id: share.share_milli for share in order.allocation.devices})
            who = sorted(order.replica_id for order in held)
            assert cpu <= node.hardware.threads * 1000, f"{node.name} runs {cpu} milli-CPU: {who} at {now}"
            assert memory <= node.hardware.memory_bytes, f"{node.name} runs {memory} bytes: {who} at {now}"
            assert max(shares.values(), default=0) <= WHOLE_DEVICE_MILLI, f"{node.name}: {shares} by {who} at {now}"
        self.most_running = max(self.most_running, running)

    def see_launches(self, now: datetime) -> None:
        """Check that no replica was launched twice: not after it ran, nor on a second node."""
        for node in self._runtime.fleet.values():
            for replica_id, process in node.processes.items():
                if process.has_begun(now):
                    first = self._begun.setdefault(replica_id, process)
                    assert first is process, f"{replica_id} was launched twice: {first.begins_at}, {process.begins_at}"

    def see_gangs(self, now: datetime) -> None:
        """Check that a gang which broke is stopped as a whole, once nothing keeps the stop from arriving."""
        if self.calm_since is None:
            return
        gangs: dict[str, list[Process]] = {}
        for node in self._runtime.fleet.values():
            for replica_id, process in node.processes.items():
                gangs.setdefault(replica_id.rpartition("-")[0], []).append(process)
        for task_id, processes in gangs.items():
            broken = [p.ends_at for p in processes if p.ends_at and p.ends_at <= now and not p.has_succeeded]
            grace = processes[0].order.program.grace
            if broken and now > max(min(broken), self.calm_since) + grace + STOP_SLACK:
                assert not any(p.holds(now) for p in processes), f"{task_id} broke at {min(broken)} and runs at {now}"

    def _see_order(self, replica_id: str, process: Process) -> None:
        assert replica_id not in self._begun, f"{replica_id} was ordered again after it ran"


def _check_places(thing: AnyObject) -> None:
    """Check that a task holds nothing on a node that it did not ask for; only their names tell the nodes apart."""
    if isinstance(thing, Task):
        for allocation in thing.status.allocations:
            labels = {NODE_KEY: allocation.node}
            met = all(condition.is_met(labels) for condition in read_where(thing.spec.resources.where))
            assert met, f"{thing.id} is on {allocation.node}, and may run where {thing.spec.resources.where}"


def _says_something_else(before: AnyObject | None, after: AnyObject) -> bool:
    """Tell whether more than a sentence has changed: a new core tells anew why things wait."""
    if before is None or not hasattr(after.status, "reason"):
        return True
    silent = after.with_status(reason=before.status.reason)
    metadata = after.metadata.replace(version=before.metadata.version, updated_at=before.metadata.updated_at)
    return silent.replace(metadata=metadata) != before


def _moves_of(thing: AnyObject) -> Mapping[str, frozenset[str]] | None:
    if isinstance(thing, Task):
        return {str(state): frozenset(map(str, to)) for state, to in task.MOVES.items()}
    if isinstance(thing, Job):
        return {str(state): frozenset(map(str, to)) for state, to in job.MOVES.items()}
    if isinstance(thing, Endpoint):
        return {str(state): frozenset(map(str, to)) for state, to in endpoint.MOVES.items()}
    return None
