"""Budgets at work in the whole control plane, and what is reckoned beside it."""

from __future__ import annotations

import pytest

from lepton_ai.kernel.change import create, update
from lepton_ai.kernel.prices import price_of
from lepton_ai.kernel.usage import usages
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.testing.machines import GB, machine
from lepton_ai.types.base import Metadata
from lepton_ai.types.identity import Project, ProjectSpec
from lepton_ai.types.job import JobState
from lepton_ai.types.node import Node
from lepton_ai.types.resources import Allocation, DeviceShare
from lepton_ai.types.share import BudgetState, ProjectUsage
from lepton_ai.types.task import Task
from tests.unit.kernel.rig import Rig

LONG = Behaviour(seconds=10_000).command()
ONE = {"gpu": 1}


def rig(spec: dict[str, object]) -> Rig:
    """A platform with one machine of two devices, and a project `default` of that spec."""
    made = Rig(machine("a", threads=8, devices=2))
    metadata = Metadata(id="project-1", name="default", project="platform")
    made.store.commit([create(Project(metadata=metadata, spec=ProjectSpec.model_validate(spec)))], actor="ada")
    made.work()
    return made


def project(of: Rig) -> Project:
    return of.store.get(Project, "project-1")


def usage(of: Rig) -> ProjectUsage:
    tasks, nodes = of.store.page(Task, live_only=True), of.store.page(Node)
    return usages([project(of)], tasks, nodes, of.store.spent(), of.clock.now())[0]


def told(of: Rig) -> list[str]:
    return [event.code for event in of.store.events("default") if event.kind == "project"]


def test_at_the_soft_bound_the_project_is_told() -> None:
    made = rig({"budget": {"device_hours": {"soft": 0.01, "hard": 1}}})
    made.submit(command=LONG, resources=ONE)
    made.work(30)
    assert told(made) == []
    made.work(10)
    assert told(made) == ["budget_soft"]
    assert project(made).status.state is BudgetState.SOFT
    assert project(made).status.reason.sentence == (
        "Project default has used up 0.01 device-hours and reached the soft bound, its 0.01 device-hours: "
        "its new work waits behind that of others."
    )


def test_at_the_hard_bound_nothing_new_starts_and_what_runs_goes_on() -> None:
    made = rig({"budget": {"device_hours": {"hard": 0.01}}})
    made.submit("first", command=LONG, resources=ONE)
    made.work(60)
    made.submit("second", command=LONG, resources=ONE)
    made.work(5)
    assert told(made) == ["budget_hard"]
    assert made.job("first").status.state is JobState.RUNNING
    assert made.job("second").status.state is JobState.QUEUED
    waits = made.tasks(made.job("second"))[0].status.reason
    assert (waits.code, waits.sentence) == (
        "budget",
        "project default has used up its 0.01 device-hours; it starts once there is more: "
        "lepton project set default --budget ...",
    )


def test_a_larger_budget_lets_it_start() -> None:
    made = rig({"budget": {"device_hours": {"hard": 0.001}}})
    made.submit("first", resources=ONE)
    made.work(10)
    made.submit("second", resources=ONE)
    made.work(1)
    more = ProjectSpec.model_validate({"budget": {"device_hours": {"hard": 100}}})
    made.store.commit([update(project(made).replace(spec=more))], actor="ada")
    made.work(10)
    assert told(made) == ["budget_hard", "budget_open"]
    assert made.job("second").status.state is JobState.SUCCEEDED


def test_the_bound_is_noticed_when_it_is_reached_and_not_only_when_something_happens() -> None:
    made = rig({"budget": {"device_hours": {"hard": 0.001}}})
    made.submit(command=LONG, resources=ONE)
    made.work(1)
    assert made.core.loop.seconds_to_next() <= 3.6


def test_what_is_used_up_survives_a_restart_and_neither_falls_nor_counts_twice() -> None:
    made = rig({})
    made.submit("short", command=Behaviour(seconds=20).command(), resources=ONE)
    made.submit("long", command=LONG, resources=ONE)
    seen = [usage(made).spent.device_seconds]
    for _ in range(12):
        made.work(5)
        seen.append(usage(made).spent.device_seconds)
        made.start()
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(60 + 20, abs=2)


def test_what_was_deleted_is_still_used_up() -> None:
    made = rig({})
    made.submit(command=Behaviour(seconds=20).command(), resources=ONE)
    made.work(30)
    before = usage(made).spent
    made.delete_ended(made.job())
    assert usage(made).spent == before
    assert before.device_seconds == pytest.approx(20, abs=1)


def test_money_counts_by_the_price_of_the_node_when_the_task_was_placed() -> None:
    made = rig({})
    node = made.store.page(Node)[0]
    made.store.commit([update(node.replace(metadata=node.metadata.replace(labels={"price": "36"})))], actor="ada")
    made.submit(command=Behaviour(seconds=100).command(), resources=ONE)
    made.work(110)
    assert usage(made).spent.money == pytest.approx(0.5, abs=0.02)


def test_usage_shows_what_is_held_and_what_waits_and_what_cannot_be_kept() -> None:
    made = rig({"quota": {"accelerators": {"*": 1, "h100": 3}}})
    for name in ("one", "two", "three"):
        made.submit(name, command=LONG, resources=ONE)
    made.work(1)
    found = usage(made)
    assert found.held.accelerators == {"*": 2.0, "h100": 2.0, "nvidia-h100-80gb": 2.0}
    assert (found.held.cpu, found.waiting) == (2.0, 1)
    assert found.warning == "projects are promised 3 of 2 h100: not all can have it at once"


@pytest.mark.parametrize(("price", "expected"), [("10", 5.0), ("-1", 0.0), ("much", 0.0), ("nan", 0.0), ("inf", 0.0)])
def test_the_scarcest_part_of_a_node_makes_the_price(price: str, expected: float) -> None:
    made = rig({})
    node = made.store.page(Node)[0]
    priced = node.replace(metadata=node.metadata.replace(labels={"price": price}))
    held = Allocation(0, "a", 1000, GB, "nvidia-h100-80gb", (DeviceShare("d"),))
    assert price_of([held], {"a": priced}) == expected
