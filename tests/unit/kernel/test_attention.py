"""Which tasks a pass looks at: a task that runs costs nothing until something of it changes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lepton_ai.kernel.attention import Attention
from lepton_ai.kernel.change import create, delete, update
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.engine import open_engine
from lepton_ai.kernel.world import World
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.testing.platform import KERNEL_KINDS
from lepton_ai.types.task import Replica, ReplicaState, Task, TaskState
from tests.unit.kernel.samples import allocation, task

NODES = ("node-1", "node-2")


def held(name: str, *nodes: str) -> Task:
    """Return a task that runs, with its ranks on these nodes."""
    allocations = tuple(allocation(rank, node) for rank, node in enumerate(nodes))
    return task(name, TaskState.RUNNING, size=len(nodes), status={"allocations": allocations})


def replicas(*ids: str, **changes: object) -> Mapping[str, Replica]:
    return {one: Replica(rank=0, node="node-1", state=ReplicaState.RUNNING).replace(**changes) for one in ids}


class Scene:
    """A world with running tasks `a` and `b`, and a task `w` that waits; all of them were looked at."""

    def __init__(self) -> None:
        self.store = Store(open_engine("sqlite://"), FakeClock(), KERNEL_KINDS)
        self.world, self.attention = World(self.store), Attention()
        running = [held("a", *NODES), held("b", NODES[0])]
        self.store.commit([create(one) for one in (*running, task("w"))], actor="test")
        self.seen = replicas("a-0", "a-1", "b-0")
        self.looked()
        self.looked()

    def looked(self, seen: Mapping[str, Replica] | None = None, nodes: tuple[str, ...] = NODES) -> list[str]:
        self.attention.touch(self.world.refresh())
        return [one.id for one in self.attention.due(self.world, self.seen if seen is None else seen, nodes)]

    def put(self, name: str, **changes: object) -> None:
        self.store.commit([update(self.store.get(Task, name).with_status(**changes))], actor="test")


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_at_first_all_are_looked_at() -> None:
    scene = Scene()
    scene.attention = Attention()
    assert scene.looked() == ["a", "b", "w"]


def test_tasks_that_only_run_or_wait_are_left_alone(scene: Scene) -> None:
    assert scene.looked() == []
    assert scene.looked(replicas("a-0", "a-1", "b-0")) == []  # other values, but equal ones


@pytest.mark.parametrize(
    "seen",
    [
        replicas("a-0", "b-0"),
        {**replicas("a-0", "a-1", "b-0"), **replicas("a-1", state=ReplicaState.EXITED)},
    ],
)
def test_a_task_is_looked_at_when_one_of_its_replicas_changes_or_is_gone(
    scene: Scene, seen: Mapping[str, Replica]
) -> None:
    assert scene.looked(seen) == ["a"]
    assert scene.looked(seen) == []


def test_replicas_that_no_task_holds_concern_none(scene: Scene) -> None:
    assert scene.looked({**scene.seen, **replicas("stray-0")}) == []


def test_a_task_that_was_changed_is_looked_at_once(scene: Scene) -> None:
    scene.put("b", placement="for a test")
    assert [scene.looked(), scene.looked()] == [["b"], []]


def test_all_are_looked_at_when_a_node_goes_or_comes_and_when_that_is_asked_for(scene: Scene) -> None:
    assert scene.looked(nodes=("node-1",)) == ["a", "b", "w"]
    assert scene.looked() == ["a", "b", "w"]
    assert scene.looked() == []
    scene.attention.look_at_all()
    assert scene.looked() == ["a", "b", "w"]


@pytest.mark.parametrize("state", [TaskState.STARTING, TaskState.STOPPING])
def test_a_task_on_its_way_is_looked_at_in_each_pass(scene: Scene, state: TaskState) -> None:
    scene.put("b", state=state)
    assert [scene.looked(), scene.looked(), scene.looked()] == [["b"]] * 3


def test_a_task_that_is_to_stop_is_looked_at_until_it_has_ended(scene: Scene) -> None:
    waiting = scene.store.get(Task, "w")
    scene.store.commit([update(waiting.replace(spec=waiting.spec.replace(stop_requested=True)))], actor="test")
    assert [scene.looked(), scene.looked()] == [["w"]] * 2
    scene.put("w", state=TaskState.FINISHED)
    assert [scene.looked(), scene.looked()] == [[], []]


def test_what_is_deleted_holds_nothing_any_more(scene: Scene) -> None:
    scene.store.commit([delete(scene.store.get(Task, "a"))], actor="test")
    scene.world.refresh()
    assert set(scene.world.index.holders) == {"b-0"}
    assert scene.looked({}) == ["b"]
