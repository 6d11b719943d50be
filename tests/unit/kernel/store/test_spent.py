"""What ended tasks have used up is counted once, in the transaction that ends them, and stays when they are deleted."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from lepton_ai.errors import Conflict
from lepton_ai.kernel.change import create, delete, update
from lepton_ai.kernel.store import Store
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.testing.platform import KERNEL_KINDS
from lepton_ai.types.base import Metadata
from lepton_ai.types.identity import Project
from lepton_ai.types.resources import Allocation, DeviceShare
from lepton_ai.types.share import Spent
from lepton_ai.types.task import Task, TaskState
from tests.unit.kernel.samples import NOW, later, task

HELD = (Allocation(0, "a", 1000, 10**9, "nvidia-t4-16gb", (DeviceShare("d0"), DeviceShare("d1", 500))),)


def runs(store: Store, name: str = "t1") -> Task:
    """Store a task that holds one and a half devices since NOW, at 7.2 an hour."""
    status = {"allocations": HELD, "started_at": NOW, "price_per_hour": 7.2}
    store.commit([create(task(name, TaskState.RUNNING, status=status))], actor="platform")
    return store.get(Task, name)


def ended(one: Task, seconds: float = 100) -> Task:
    return one.with_status(state=TaskState.FINISHED, finished_at=later(seconds))


def test_a_task_that_ends_is_counted(store: Store) -> None:
    store.commit([update(ended(runs(store)))], actor="platform", strict=False)
    assert store.spent() == {"default": Spent(device_seconds=150, money=0.2)}


def test_what_ended_before_counts_as_well(store: Store) -> None:
    for name in ("t1", "t2"):
        store.commit([update(ended(runs(store, name)))], actor="platform", strict=False)
    assert store.spent() == {"default": Spent(device_seconds=300, money=0.4)}


def test_an_end_that_loses_its_race_counts_only_once_it_is_repeated(store: Store) -> None:
    old = runs(store)
    store.commit([update(old)], actor="ada")
    assert store.commit([update(ended(old))], actor="platform", strict=False).conflicts
    assert store.spent() == {}
    store.commit([update(ended(store.get(Task, old.id)))], actor="platform", strict=False)
    assert store.spent() == {"default": Spent(device_seconds=150, money=0.2)}


def test_a_commit_that_is_refused_counts_nothing(store: Store) -> None:
    old = runs(store)
    with pytest.raises(Conflict):
        store.commit([update(ended(old)), update(old)], actor="platform")
    assert store.spent() == {}


def test_a_later_change_and_the_deletion_of_an_ended_task_count_nothing_more(store: Store) -> None:
    store.commit([update(ended(runs(store)))], actor="platform")
    store.commit([update(store.get(Task, "t1"))], actor="ada")
    store.commit([delete(store.get(Task, "t1"))], actor="ada")
    assert store.spent() == {"default": Spent(device_seconds=150, money=0.2)}


def test_those_that_end_together_count_each(store: Store) -> None:
    many = [runs(store, f"t{number}") for number in range(6)]
    store.commit([update(ended(one)) for one in many], actor="platform", strict=False)
    assert store.spent()["default"].device_seconds == 900


def test_of_those_that_end_together_who_loses_a_race_does_not_count(store: Store) -> None:
    many = [runs(store, f"t{number}") for number in range(6)]
    store.commit([update(many[0])], actor="ada")
    assert len(store.commit([update(ended(one)) for one in many], actor="platform", strict=False).conflicts) == 1
    assert store.spent()["default"].device_seconds == 750


def test_it_is_there_when_the_store_is_opened_again(store: Store, engine: sa.Engine) -> None:
    store.commit([update(ended(runs(store)))], actor="platform")
    assert Store(engine, FakeClock(), KERNEL_KINDS).spent() == store.spent()


def test_it_goes_with_the_project(store: Store) -> None:
    store.commit([create(Project(metadata=Metadata(id="p1", name="default", project="platform")))], actor="ada")
    store.commit([update(ended(runs(store)))], actor="platform")
    store.commit([delete(store.get(Project, "p1"))], actor="ada")
    assert store.spent() == {}
