"""The one loop: see, decide, schedule, act. Level-triggered; it may be killed between any two lines."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from lepton_ai.errors import LeptonError
from lepton_ai.kernel import cost_limits, dispatch, draining, tasks
from lepton_ai.kernel.attention import Attention
from lepton_ai.kernel.backoff import Backoff
from lepton_ai.kernel.change import Change, Verb, update
from lepton_ai.kernel.checkpoints.keeping import Checkpoints, NoCheckpoints
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.decision import Decision
from lepton_ai.kernel.estimates import Estimates
from lepton_ai.kernel.identifiers import new_id
from lepton_ai.kernel.nodes import observe_nodes
from lepton_ai.kernel.placing import Placing
from lepton_ai.kernel.registry import OpenService
from lepton_ai.kernel.rests import Rests
from lepton_ai.kernel.runtime import Runtime
from lepton_ai.kernel.sizing import sized
from lepton_ai.kernel.spending import Spending
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.task_index import ACTIVE
from lepton_ai.kernel.world import World
from lepton_ai.types.base import Reason
from lepton_ai.types.node import Hardware, Node
from lepton_ai.types.task import Replica, Task

log = logging.getLogger(__name__)
Result = TypeVar("Result")

ACTOR = "platform"
COMMIT_MAX = 1000  # changes in one transaction: 1,000 x 0.3 ms = 0.3 s for which the API cannot write
RESYNC = timedelta(seconds=30)  # everything is looked at again this often, whatever was missed
PRUNE_EVERY = timedelta(days=1)
# Not objects: the keys under which a pruning that failed, looks at budgets and the like, and the next plan are due.
PRUNE, BUDGETS, COSTS, DRAINS, PLAN = "prune", "budgets", "costs", "drains", "plan"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loop is made of."""

    store: Store
    runtime: Runtime
    clock: Clock
    placing: Placing
    estimates: Estimates
    unseal: dispatch.Unseal
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)


class Loop:
    """Runs in one thread, which is the only writer of every status."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._supplies = dispatch.Supplies(parts.unseal, parts.checkpoints.stored_version)
        self._services: Mapping[str, OpenService] = {}
        self._opened: Mapping[str, OpenService] = {}
        self._world = World(parts.store)
        self.held = self._world.held  # for whoever compares it with what else is told to be held
        self._woken, self._ended = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._attention = Attention()
        self._asked: set[str] = set()
        self._dirty: set[str] = set()
        self._due: dict[str, datetime] = {}
        self._rests = Rests()
        self._dependents: dict[str, set[str]] = {}
        self._backoff = Backoff()
        self._spending = Spending(parts.store)
        self._next_resync = self._next_prune = parts.clock.now()

    def use(self, services: Mapping[str, OpenService]) -> None:
        """Give the loop its services, by the kind that each answers for. Call before `run`."""
        self._services = services
        self._opened = {f"service:{kind}": service for kind, service in services.items()}

    def wake(self, object_id: str = "") -> None:
        """Ask for a pass, and for a decision on one object if it is named. Safe from any thread."""
        if object_id:
            with self._lock:
                self._asked.add(object_id)
        self._woken.set()

    def stop(self) -> None:
        """End `run` after the pass that is under way."""
        self._ended.set()
        self._woken.set()

    def run(self) -> None:
        """Work until stopped: a pass whenever something changed or is due."""
        while not self._ended.is_set():
            self._woken.wait(self.seconds_to_next())
            self._woken.clear()
            if self._ended.is_set():
                return
            if not self.try_pass():
                self._ended.wait(self._backoff.failed("", self._parts.clock.now()).total_seconds())

    def try_pass(self) -> bool:
        """Do one pass; tell whether it came to its end. After one that did not, everything is looked at again."""
        try:
            self.run_pass()
        except LeptonError as error:
            # The store or the state folder refuses: nothing was lost, because nothing was acknowledged.
            log.error("pass_failed error=%s", error)
        except Exception:
            log.exception("pass_failed")
        else:
            self._backoff.succeeded("")
            return True
        self._next_resync = self._parts.clock.now()
        self._parts.estimates.forget()
        return False

    def run_pass(self) -> None:
        """Do one pass over everything that may be out of line."""
        now = self._parts.clock.now()
        # 1. See what was committed and what runs.
        self._collect_dirty(now)
        # Nodes first: what a node runs that comes back in between is then not mistaken for lost while the node is not.
        nodes = {node.name: node for node in self._parts.runtime.nodes()}
        seen = self._parts.runtime.replicas()
        # 2. Bring nodes and tasks up to what was seen.
        new = lambda kind: new_id(kind, now)  # noqa: E731 - it closes over this pass's time
        changed = list(observe_nodes(self._world.all(Node), list(nodes.values()), now, new))
        if changed or not self._parts.estimates.has_seen:
            self._parts.estimates.see(node.hardware for node in nodes.values())
        self._commit(changed)
        self._commit(self._observe_tasks(seen, nodes.keys(), now))
        # 3. Ask the services about each object that changed.
        self._commit(self._decide(now))
        # 4. Look at budgets and at nodes that are drained, then place what waits.
        self._review(now)
        # In one order, so that a simulated history can be replayed.
        strays = sorted(seen.keys() - self._world.index.holders.keys())
        # A node that was away may still run what was given up for lost: it has no room before that has ended.
        crowded = {seen[replica_id].node for replica_id in strays if seen[replica_id].exit is None}
        self._parts.placing.see(self._world, nodes.values(), now)
        self._commit(self._parts.placing.place(self._world, self._parts.runtime, now, crowded))
        if self._parts.placing.put_off_until is not None:
            self._due[PLAN] = self._parts.placing.put_off_until
        # 5. Act: tell the runtime what it should be doing, and the services to do the same outside.
        self._parts.checkpoints.watch(self._world.index.checkpointed, seen, nodes.keys())
        self._act(seen, {name: node.hardware for name, node in nodes.items()}, now)
        self._let_go({replica_id: seen[replica_id] for replica_id in strays}, now)
        for name, service in self._opened.items():
            self._guard(name, now, partial(service.apply, self._world, now))
        self._guard(PRUNE, now, partial(self._prune, now))

    def _collect_dirty(self, now: datetime) -> None:
        with self._lock:
            asked, self._asked = self._asked, set()
        self._mark(self._world.refresh() | asked)
        due = {object_id for object_id, moment in self._due.items() if moment <= now}
        self._due = {key: moment for key, moment in self._due.items() if key not in due}
        self._dirty |= due
        if now >= self._next_resync:
            self._next_resync = now + RESYNC
            self._attention.look_at_all()
            self._dirty.update(*(self._world.ids(kind) for kind in self._services))

    def _mark(self, changed: set[str]) -> None:
        self._dirty |= changed
        self._attention.touch(changed)
        for object_id in changed & self._dependents.keys():
            self._dirty |= self._dependents.pop(object_id)

    def _observe_tasks(self, seen: Mapping[str, Replica], nodes: Collection[str], now: datetime) -> list[Change]:
        changes: list[Change] = []
        for task in self._attention.due(self._world, seen, nodes):
            if task.status.state in ACTIVE:
                change = tasks.observe(task, seen, nodes, now, self._parts.checkpoints.news(task))
            elif task.spec.stop_requested:
                change = tasks.cancel(task, now)
            else:
                continue
            if change is not None:
                changes.append(change)
                self._parts.estimates.learn_from(change.object, now)
        return [*changes, *self._parts.estimates.changes()]

    def _decide(self, now: datetime) -> list[Change]:
        changes: list[Change] = []
        dirty, self._dirty = sorted(self._dirty), set()
        for place, object_id in enumerate(dirty):
            if len(changes) >= COMMIT_MAX:
                self._dirty.update(dirty[place:])
                self._woken.set()
                break
            if (rest := self._rests.until(object_id, now)) is not None:
                self._due[object_id] = rest
                continue
            thing = self._world.by_id(object_id)
            service = self._services.get(thing.KIND) if thing is not None else None
            if thing is None or service is None:
                continue
            began = self._parts.clock.now()
            decision = self._guard(object_id, now, partial(service.decide, thing, self._world, now))
            if decision is not None:
                changes.extend(self._sized(change) for change in decision.changes)
                self._remember(object_id, decision)
                self._rests.after(object_id, decision, now, self._parts.clock.now() - began)
        return changes

    def _sized(self, change: Change) -> Change:
        """Give a new task the memory that it should have."""
        task = change.object
        if change.verb is not Verb.CREATE or not isinstance(task, Task):
            return change
        earlier = self._world.tasks_of(task.metadata.owner_id) if task.spec.attempt > 1 else ()
        return sized(change, earlier, self._parts.estimates.peak_bytes(task), self._parts.placing.largest_memory)

    def _remember(self, object_id: str, decision: Decision) -> None:
        if decision.look_again_at is not None:
            self._due[object_id] = decision.look_again_at
        for other in decision.depends_on:
            self._dependents.setdefault(other, set()).add(object_id)

    def _act(self, seen: Mapping[str, Replica], hardware: Mapping[str, Hardware], now: datetime) -> None:
        for task in list(self._world.index.moving.values()):
            if task.status.state in ACTIVE:
                # By state, so that a stop need not wait until starts that fail are tried again.
                key = f"{task.id}:{task.status.state}"
                self._guard(key, now, partial(self._start_or_stop, task, seen, hardware))

    def _start_or_stop(self, task: Task, seen: Mapping[str, Replica], hardware: Mapping[str, Hardware]) -> None:
        try:
            refused = dispatch.act(task, self._parts.runtime, seen, hardware, self._supplies)
        except LeptonError as error:
            reason = Reason(code="tried_again", sentence=f"{error} This is tried again.")
            self._commit([update(task.with_status(reason=reason))] if task.status.reason != reason else [])
            raise
        # One rank is enough: it breaks its gang.
        now = self._parts.clock.now()
        self._commit([tasks.refuse(task, rank, note, now) for rank, note in list(refused.items())[:1]])

    def _let_go(self, strays: Mapping[str, Replica], now: datetime) -> None:
        """Drop the replicas that no task holds: forgotten if they ended, stopped if they run on."""
        runtime = self._parts.runtime
        for replica_id, replica in strays.items():
            if replica.exit is not None:
                self._guard(replica_id, now, partial(runtime.forget, replica_id, delete_log=False))
            else:
                self._guard(replica_id, now, partial(runtime.stop, replica_id, timedelta(0)))
        for task in self._world.deleted_tasks():
            if self._guard(task.id, now, partial(dispatch.delete_logs, task, self._parts.runtime)):
                self._world.forget_deleted(task)

    def _review(self, now: datetime) -> None:
        costs = cost_limits.review(self._world.index.limited.values(), now)
        drains = draining.review(self._world, now)
        budgets = self._spending.review(self._world, now)
        for key, (changes, again_at) in {BUDGETS: budgets, COSTS: costs, DRAINS: drains}.items():
            self._commit(list(changes))
            self._due |= {key: again_at} if again_at is not None else {}

    def _prune(self, now: datetime) -> None:
        """Drop old history once a day, in steps while there is more: none keeps the API from writing for long."""
        if now >= self._next_prune:
            self._next_prune = now + (RESYNC if self._parts.store.prune() else PRUNE_EVERY)

    def _guard(self, key: str, now: datetime, work: Callable[[], Result]) -> Result | None:
        """Do the work, unless it failed a moment ago; whatever goes wrong in it keeps no other from its turn."""
        if not self._backoff.may_try(key, now):
            return None
        try:
            result = work()
        except Exception as error:
            self._due[key] = now + self._backoff.failed(key, now)
            log.warning("work_failed about=%s error=%s", key, error, exc_info=not isinstance(error, LeptonError))
            return None
        self._backoff.succeeded(key)
        return result

    def _commit(self, changes: list[Change]) -> None:
        for start in range(0, len(changes), COMMIT_MAX):
            done = self._parts.store.commit(changes[start : start + COMMIT_MAX], actor=ACTOR, strict=False)
            # What lost a race is still wrong at the next pass, which sees the newer version.
            self._dirty.update(change.object.id for change in done.conflicts)
            self._attention.touch(change.object.id for change in done.conflicts)
            if done.conflicts:
                self._parts.estimates.forget()
            self._mark(self._world.absorb(done))

    def seconds_to_next(self) -> float:
        """Return how long the loop may rest if nothing wakes it."""
        left = min([*self._due.values(), self._next_resync]) - self._parts.clock.now()
        return 0.0 if self._dirty else max(0.0, left.total_seconds())
