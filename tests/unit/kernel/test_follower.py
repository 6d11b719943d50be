"""The scheduler beside the world: what it was told is what there is, whatever happened in between."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TypeVar

import pytest

from lepton_ai.errors import StorageFailed
from lepton_ai.kernel.follower import Follower
from lepton_ai.kernel.queue import ASK_AGAIN, SnapshotBuilder
from lepton_ai.kernel.runtime import NodeObservation
from lepton_ai.kernel.scheduling.snapshot import Expectation, Policy, Snapshot
from lepton_ai.testing.machines import machine
from lepton_ai.testing.platform import SETTINGS
from lepton_ai.types.base import AnyObject, Metadata
from lepton_ai.types.node import Node, NodeStatus, NodeUse
from lepton_ai.types.task import Task, TaskState
from tests.unit.kernel.samples import later, task

T = TypeVar("T", bound=AnyObject)
STATES = tuple(TaskState)


def node(name: str, threads: int = 2) -> Node:
    status = NodeStatus(address="10.0.0.1", hardware=machine(name, threads=threads).hardware)
    return Node(metadata=Metadata(id=name, name=name), status=status)


@dataclass
class World:
    """Tells of each task once after it has changed."""

    tasks: dict[str, Task] = field(default_factory=dict)
    nodes: Sequence[Node] = (node("node-1"),)
    changed: set[str] = field(default_factory=set)
    version: int = 0

    def all(self, kind: type[T]) -> Collection[T]:
        return [thing for thing in (*self.tasks.values(), *self.nodes) if isinstance(thing, kind)]

    def get(self, kind: type[T], object_id: str) -> T | None:
        found = self.tasks.get(object_id)
        return found if isinstance(found, kind) else None

    def changed_tasks(self) -> set[str]:
        changed, self.changed = self.changed, set()
        return changed

    def put(self, *tasks: Task) -> None:
        self.version += 1
        version = {"version": self.version}
        self.tasks |= {one.id: one.replace(metadata=one.metadata.replace(**version)) for one in tasks}
        self.changed |= {one.id for one in tasks}

    def drop(self, name: str) -> None:
        self.tasks.pop(name, None)
        self.changed.add(name)


class Guess:
    """Expects the same of every task, unless the store fails at that moment."""

    def __init__(self) -> None:
        self.failures = 0
        self.seconds = 60.0
        self.asked = 0

    def __call__(self, _task: Task) -> Mapping[str, Expectation]:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise StorageFailed("The database does not answer.")
        return {"": Expectation(self.seconds, 2 * self.seconds, "guessed")}


@pytest.fixture
def guess() -> Guess:
    return Guess()


@pytest.fixture
def follower(guess: Guess) -> Follower:
    return Follower(SnapshotBuilder(SETTINGS, guess), Policy())


def in_order(snapshot: Snapshot) -> Snapshot:
    by_id = attrgetter("id")
    waiting, running = sorted(snapshot.waiting, key=by_id), sorted(snapshot.running, key=by_id)
    return Snapshot(snapshot.now, snapshot.nodes, tuple(waiting), tuple(running))


@pytest.mark.parametrize("seed", range(10))
def test_what_it_knows_is_what_there_is(follower: Follower, seed: int) -> None:
    draw, here = random.Random(seed), World()
    builder = SnapshotBuilder(SETTINGS, Guess())
    for second in range(60):
        name = f"t{draw.randrange(8)}"
        here.put(task(name, draw.choice(STATES), size=draw.choice((1, 2)), stop_requested=draw.random() < 0.1))
        here.drop(f"t{draw.randrange(16)}")
        here.nodes = [node("node-1", threads=draw.choice((2, 2, 2, 4)))]
        follower.follow(here, later(second), ())
        known = in_order(follower.snapshot(later(second)))
        assert known == in_order(builder.build(here.nodes, list(here.tasks.values()), later(second)))
        follower.plan(later(second), ())


def test_it_asks_only_about_tasks_that_changed(follower: Follower, guess: Guess) -> None:
    here = World()
    here.put(*(task(f"t{number}") for number in range(100)))
    follower.follow(here, later(0), ())
    follower.plan(later(0), ())
    guess.asked = 0
    here.put(task("t99", priority=90))
    follower.follow(here, later(1), ())
    assert guess.asked <= 3  # the one that changed, and the two that were placed and did not start


def test_a_change_that_no_plan_depends_on_is_none(follower: Follower) -> None:
    here = World()
    here.put(task("a", TaskState.RUNNING), task("b"))
    follower.follow(here, later(0), ())
    here.put(here.tasks["b"].with_status(placement="only words"))
    follower.follow(here, later(0), ())
    assert (follower.has_changed, follower.looked_at) == (False, {"b"})


def test_what_was_placed_and_not_carried_out_waits_again(follower: Follower) -> None:
    here = World()
    here.put(task("a"))
    follower.follow(here, later(0), ())
    assert [one.task_id for one in follower.plan(later(0), ()).placements] == ["a"]
    follower.follow(here, later(1), ())
    assert [one.task_id for one in follower.plan(later(1), ()).placements] == ["a"]


def test_nothing_is_forgotten_when_the_store_fails_in_between(follower: Follower, guess: Guess) -> None:
    here = World()
    here.put(task("a"), task("b"))
    guess.failures = 1
    with pytest.raises(StorageFailed):
        follower.follow(here, later(0), ())
    follower.follow(here, later(1), ())
    assert set(follower.waiting) == {"a", "b"}


def test_who_waits_long_is_asked_about_again(follower: Follower, guess: Guess) -> None:
    here = World()
    here.put(task("a"))
    follower.follow(here, later(0), {"node-1"})
    follower.plan(later(0), ())
    guess.seconds = 500.0
    follower.follow(here, later(60), {"node-1"})
    assert follower.waiting["a"].expectations[""].median == 60.0
    follower.follow(here, later(0) + ASK_AGAIN, {"node-1"})
    assert (follower.has_changed, follower.waiting["a"].expectations[""].median) == (True, 500.0)


def test_who_has_outlived_what_was_expected_is_given_longer() -> None:
    left = Expectation(100.0, 200.0, "measured")
    follower = Follower(SnapshotBuilder(SETTINGS, Guess(), lambda _task, _now: left), Policy())
    here = World()
    here.put(task("a", TaskState.RUNNING, status={"started_at": later(0), "expected_seconds": 30.0}))
    ends = []
    for second in (0, 29, 31, 32):
        follower.follow(here, later(second), ())
        ends.append(follower.snapshot(later(second)).running[0].expected_end)
    assert ends == [later(30), later(30), later(231), later(231)]


def test_memory_that_others_use_is_seen_at_once() -> None:
    builder = SnapshotBuilder(SETTINGS, Guess())
    follower, here = Follower(builder, Policy()), World()
    follower.follow(here, later(0), ())
    used = NodeUse(memory_used_bytes=8 * 10**9)
    builder.foreign.note(
        [NodeObservation("node-1", "10.0.0.1", machine("node-1").hardware, used, "simulated")], [], later(1)
    )
    before = follower.snapshot(later(0)).nodes[0].memory_bytes
    follower.follow(here, later(1), ())
    assert follower.snapshot(later(1)).nodes[0].memory_bytes < before
