"""What is asked beside the loop: answers count while the groups are as they were, for tasks that still wait."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from typing import Any, TypeVar, cast

from lepton_ai.kernel.registry import Door
from lepton_ai.kernel.scheduling.snapshot import Plan, Snapshot
from lepton_ai.services.nodegroups.demand import Demand
from lepton_ai.testing.fakes import FakeClock, FakeDataPlane, FakeObjectStores
from lepton_ai.testing.platform import SETTINGS
from lepton_ai.types.base import AnyObject, Metadata
from lepton_ai.types.node_group import NodeGroup, NodeGroupSpec
from lepton_ai.types.task import Program, Task, TaskSpec, TaskStatus
from tests.unit.kernel.scheduling.worlds import NOW, task

T = TypeVar("T", bound=AnyObject)


class Later(Executor):
    """Keeps what it is given until it is told to do it."""

    def __init__(self) -> None:
        self.work: list[Callable[[], object]] = []

    def submit(self, work: Any, /, *args: Any, **more: Any) -> Future[Any]:
        self.work.append(lambda: work(*args, **more))
        return Future()

    def catch_up(self) -> None:
        done, self.work = self.work, []
        for work in done:
            work()


class Waiting:
    """A view in which only tasks are to be found: those that wait."""

    def __init__(self, *names: str) -> None:
        self.tasks = {name: _waiting(name) for name in names}

    def get(self, kind: type[T], object_id: str) -> T | None:
        return cast("T | None", self.tasks.get(object_id))

    def look_up(self, kind: type[T], project: str, name: str) -> T | None:
        return None

    def all(self, kind: type[T]) -> Collection[T]:
        return []

    def tasks_of(self, owner_id: str) -> Sequence[Task]:
        return []


class Asker:
    """Asks about one group with room for two nodes, while two tasks wait on a platform without nodes."""

    def __init__(self) -> None:
        self.later, self.view, self.version = Later(), Waiting("a", "b"), 1
        snapshot = Snapshot(NOW, (), (task("a", 4), task("b", 4)), ())
        last = snapshot, Plan()
        door = Door(SETTINGS, FakeClock(), FakeDataPlane(), FakeObjectStores(), lambda _: None, lambda: last)
        self.demand = Demand(door, self.later)

    def added(self) -> list[list[str]]:
        """Return the tasks of each node that is to be added."""
        spec = NodeGroupSpec.model_validate({"max": 2, "provider": "command", "node": {"cpu": 4, "memory": "16GB"}})
        group = NodeGroup(metadata=Metadata(id="nodegroup-g", name="g", version=self.version), spec=spec)
        growth = self.demand.growth([group], self.view, lambda _: 2)
        return [sorted(tasks) for tasks in growth.add.get("g", ())]


def test_the_loop_is_not_kept_waiting_and_has_the_answer_once_it_is_there() -> None:
    asker = Asker()
    assert asker.added() == []
    asker.later.catch_up()
    assert sorted(asker.added()) == [["a"], ["b"]]


def test_one_question_is_asked_at_a_time_and_none_twice() -> None:
    asker = Asker()
    asker.added()
    asker.version = 2
    asker.added()
    assert len(asker.later.work) == 1
    asker.later.catch_up()
    asker.added()
    asker.later.catch_up()
    asker.added()
    assert asker.later.work == []


def test_an_answer_about_groups_that_have_changed_adds_nothing() -> None:
    asker = Asker()
    asker.added()
    asker.later.catch_up()
    asker.version = 2
    assert asker.added() == []


def test_a_node_for_tasks_that_wait_no_more_is_not_added() -> None:
    asker = Asker()
    asker.added()
    asker.later.catch_up()
    asker.view = Waiting("b")
    assert asker.added() == [["b"]]


def _waiting(name: str) -> Task:
    spec = TaskSpec(owner_kind="job", owner_name=name, task_kind="k", program=Program(command=("true",)))
    return Task(metadata=Metadata(id=name, name=name), spec=spec, status=TaskStatus())
