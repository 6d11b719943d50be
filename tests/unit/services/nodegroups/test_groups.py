"""Node groups at work: nodes come for what waits, go when idle, and none is leaked, whatever fails or dies."""

from __future__ import annotations

from lepton_ai.kernel.node_providers import Group, NodeOrder
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.testing.machines import machine
from lepton_ai.types.job import JobState
from lepton_ai.types.node import Node
from lepton_ai.types.node_group import GroupNodeState
from tests.unit.services.nodegroups.provider import PLATFORM, GroupRig

LONG = Behaviour(seconds=300).command()


def busy_rig() -> GroupRig:
    """One node that is full for a long time."""
    rig = GroupRig(machine("node-1"))
    rig.submit("first", LONG, resources={"cpu": 4})
    rig.work()
    return rig


def test_a_node_comes_for_a_job_that_waits_and_goes_once_it_was_idle() -> None:
    rig = busy_rig()
    rig.group()
    rig.submit("second", Behaviour(seconds=5).command(), resources={"cpu": 4})
    rig.work(4)
    assert rig.job("second").status.state is JobState.RUNNING
    assert [replica.node for replica in rig.job("second").status.replicas] == list(rig.cloud.machines)
    rig.work(40)
    assert rig.states() == ["ready"]
    rig.work(60)
    assert (rig.states(), rig.cloud.machines, rig.members.invited) == ([], {}, rig.cloud.deleted)
    codes = [event.code for event in rig.told() if event.code.startswith("node_")]
    assert codes == ["node_started", "node_ready", "node_draining", "node_deleted"]


def test_no_node_comes_where_there_is_room_or_nothing_waits() -> None:
    rig = GroupRig(machine("node-1"))
    rig.group()
    rig.submit("first", LONG, resources={"cpu": 2})
    rig.work(10)
    assert rig.cloud.machines == {}


def test_nodes_on_their_way_are_counted_and_never_more_than_the_most() -> None:
    rig = busy_rig()
    rig.group(max=2)
    rig.cloud.boots = False
    for number in range(5):
        rig.submit(f"more-{number}", LONG, resources={"cpu": 4})
    rig.work(20)
    assert len(rig.cloud.machines) == 2
    assert rig.states() == ["booting", "booting"]


def test_a_gang_gets_as_many_nodes_as_it_lacks() -> None:
    rig = busy_rig()
    rig.group(max=5)
    rig.submit("gang", LONG, replicas=3, resources={"cpu": 3})
    rig.work(6)
    assert len(rig.cloud.machines) == 3
    assert rig.job("gang").status.state is JobState.RUNNING


def test_the_cheaper_group_is_used() -> None:
    rig = busy_rig()
    rig.group("dear", price=9.0)
    rig.group("cheap", price=1.0)
    rig.submit("second", LONG, resources={"cpu": 4})
    rig.work(4)
    assert (rig.states("dear"), rig.states("cheap")) == ([], ["ready"])


def test_the_least_number_is_kept_and_made_without_any_work() -> None:
    rig = GroupRig(machine("node-1"))
    rig.group(min=2)
    rig.work(4)
    assert rig.states() == ["ready", "ready"]
    rig.work(120)
    assert rig.states() == ["ready", "ready"]


def test_a_provider_that_fails_is_left_alone_for_a_while_and_its_reason_told() -> None:
    rig = busy_rig()
    rig.group()
    rig.cloud.fails = "No quota left in this region."
    rig.submit("second", LONG, resources={"cpu": 4})
    rig.work(6)
    status = rig.seen().status
    assert "No quota left in this region." in status.reason.sentence
    assert (status.failures, [event.code for event in rig.told()].count("node_started")) == (1, 1)
    rig.work(60)
    assert 2 <= rig.seen().status.failures <= 5  # after 10, 20 and 40 s
    rig.cloud.fails = ""
    rig.work(400)
    assert rig.job("second").status.state is not JobState.QUEUED
    assert (rig.seen().status.failures, rig.seen().status.reason.code) == (0, "")


def test_a_node_that_never_joins_is_deleted_and_replaced() -> None:
    rig = busy_rig()
    rig.group()
    rig.cloud.boots = False
    rig.submit("second", LONG, resources={"cpu": 4})
    rig.work(4)
    first = next(iter(rig.cloud.machines))
    rig.work(125)
    assert rig.cloud.deleted == [first]
    assert "did not become ready" in rig.seen().status.reason.sentence
    rig.cloud.boots = True
    rig.work(20)
    assert rig.states() == ["ready"]


def test_a_core_killed_after_the_machine_was_made_leaves_it_to_the_next_one() -> None:
    rig = busy_rig()
    rig.group()
    rig.threads.holds = True  # the core dies before it hears what came of the call
    rig.submit("second", LONG, resources={"cpu": 4})
    rig.work(4)
    assert rig.states() == ["creating"]
    name = rig.seen().status.nodes[0].name
    rig.cloud.create(an_order(rig, name))
    restart(rig)
    rig.work(6)
    assert (rig.states(), list(rig.cloud.machines)) == (["ready"], [name])


def test_a_core_killed_before_the_machine_was_made_has_another_one_made() -> None:
    rig = busy_rig()
    rig.group()
    rig.threads.holds = True
    rig.submit("second", LONG, resources={"cpu": 4})
    rig.work(4)
    lost = rig.seen().status.nodes[0].name
    restart(rig)
    rig.work(30)
    assert rig.states() == ["ready"]
    assert lost in rig.cloud.deleted  # a machine that might come up late is deleted, too
    assert lost not in rig.cloud.machines


def test_a_machine_that_only_the_provider_knows_is_deleted() -> None:
    rig = GroupRig(machine("node-1"))
    rig.group()
    rig.cloud.create(an_order(rig, "g-ffffff"))
    rig.work(70)
    assert (rig.cloud.machines, rig.states()) == ({}, [])
    assert "found" in [event.code for event in rig.told()]


def test_a_node_with_work_is_never_taken_away() -> None:
    rig = busy_rig()
    rig.group(idle_time=0)
    rig.submit("second", Behaviour(seconds=100).command(), resources={"cpu": 4})
    rig.work(50)
    assert rig.states() == ["ready"]
    rig.change(rig.seen(), max=0)
    rig.work(20)
    assert rig.job("second").status.state is JobState.RUNNING
    rig.work(60)
    assert rig.job("second").status.state is JobState.SUCCEEDED
    assert rig.cloud.machines == {}


def test_a_group_that_is_deleted_takes_its_nodes_with_it() -> None:
    rig = GroupRig(machine("node-1"))
    rig.group(min=2)
    rig.work(4)
    rig.delete(rig.seen())
    rig.work(20)
    assert rig.cloud.machines == {}
    assert rig.store.look_up(Node, PLATFORM, "g-000001") is None
    assert [event.code for event in rig.told()][-1] == "deleted"


def test_what_runs_on_a_group_that_is_deleted_leaves_first() -> None:
    rig = busy_rig()
    rig.group()
    rig.submit("second", LONG, resources={"cpu": 4}, preemptible={"resumes": False})
    rig.work(4)
    rig.delete(rig.seen())
    rig.work(20)
    assert rig.cloud.machines == {}
    assert rig.job("second").status.state is JobState.QUEUED


def test_a_lost_node_is_given_up_and_the_least_number_restored() -> None:
    rig = GroupRig(machine("node-1"))
    rig.group(min=1)
    rig.work(4)
    (name,) = rig.cloud.machines
    rig.runtime.fleet.pop(name)
    rig.work(200)
    assert rig.states() == ["ready"]
    assert name not in rig.cloud.machines


def test_a_node_that_drains_gets_nothing_new() -> None:
    rig = GroupRig(machine("node-1"))
    rig.group(min=1)
    rig.work(4)
    rig.cloud.fails = "not now"
    rig.change(rig.seen(), min=0, max=0)
    rig.work(6)
    (name,) = rig.cloud.machines
    assert rig.store.find(Node, PLATFORM, name).spec.cordoned
    assert rig.seen().status.nodes[0].state is GroupNodeState.DELETING


def restart(rig: GroupRig) -> None:
    rig.core.close()
    rig.threads.holds = False
    rig.start()


def an_order(rig: GroupRig, name: str) -> NodeOrder:
    return NodeOrder(Group("g", "abc", {}), name, "https://core:8443", {}, "token")
