"""Replays on nodes that come and go: they come for what waits, go when idle, and cost what they were there for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lepton_ai.kernel.scheduling.snapshot import Demand, Policy, Price
from lepton_ai.simulation.autoscale import ImaginedGroup
from lepton_ai.simulation.compare import Played, Scenario, Telling, play
from lepton_ai.simulation.engine import Rules
from lepton_ai.simulation.told import Lengths
from lepton_ai.simulation.trace import Trace, TraceTask
from tests.unit.kernel.scheduling.worlds import GB, node
from tests.unit.simulation.works import overcommitted, trace

HERE = node("here", 4)


def job(name: str, seconds: float, cpus: int = 1) -> TraceTask:
    """Work that is submitted at the beginning."""
    return TraceTask(name, 0.0, seconds, Demand(cpus * 1000, GB))


def group(name: str = "g", cpus: int = 4, price: float = 2.0, **bounds: float) -> ImaginedGroup:
    view = node(name, cpus)
    priced = replace(view, price=Price(price, view.cpu_milli, view.memory_bytes))
    most, least = int(bounds.get("most", 5)), int(bounds.get("least", 0))
    return ImaginedGroup(name, priced, least, most, bounds.get("idle", 600.0), bounds.get("boot", 100.0))


def replayed(recorded: Trace, *groups: ImaginedGroup) -> Played:
    scenario = Scenario("what if", (HERE,), Policy(), {}, groups=groups)
    return play(recorded, scenario, Telling(Lengths.KNOWN), Rules())


def test_a_node_comes_after_its_boot_time_and_goes_once_it_was_idle() -> None:
    recorded = trace(job("a", cpus=4, seconds=7200), job("b", cpus=4, seconds=3600))
    played = replayed(recorded, group())
    (figures,) = played.groups
    assert sorted(played.outcome.starts.values()) == [0.0, 100.0]  # the shorter one first
    assert (figures.started, figures.most) == (1, 1)
    assert figures.node_hours == pytest.approx((100 + 7200 + 600) / 3600)
    assert figures.cost == pytest.approx(2.0 * figures.node_hours)
    assert not overcommitted(played.outcome)


def test_without_groups_the_same_work_waits_for_its_turn() -> None:
    recorded = trace(job("a", cpus=4, seconds=7200), job("b", cpus=4, seconds=3600))
    alone = replayed(recorded)
    assert alone.groups == ()
    assert alone.figures.waits.mean > replayed(recorded, group()).figures.waits.mean


def test_a_burst_gets_several_nodes_and_never_more_than_the_most() -> None:
    burst = trace(*[job(f"t{n}", cpus=4, seconds=3600) for n in range(9)])
    assert replayed(burst, group(most=3)).groups[0].most == 3
    assert replayed(burst, group(most=20)).groups[0].started == 8
    assert len(replayed(burst, group(most=3)).outcome.ends) == 9


def test_the_cheaper_group_is_used() -> None:
    recorded = trace(job("a", cpus=4, seconds=7200), job("b", cpus=4, seconds=3600))
    dear, cheap = replayed(recorded, group("dear", price=9.0), group("cheap", price=1.0)).groups
    assert (dear.started, cheap.started) == (0, 1)


def test_what_only_a_group_can_run_is_not_refused_and_what_none_can_is() -> None:
    recorded = trace(job("large", cpus=16, seconds=60), job("huge", cpus=64, seconds=60), job("small", seconds=9000))
    played = replayed(recorded, group(cpus=16))
    names = {recorded.tasks[row].id for row in played.outcome.ends}
    assert names == {"large", "small"}
    assert [recorded.tasks[row].id for row in played.outcome.refused] == ["huge"]


def test_the_least_number_is_there_from_the_beginning_to_the_end() -> None:
    played = replayed(trace(job("a", cpus=4, seconds=3600), job("b", cpus=4, seconds=3600)), group(least=1))
    assert played.figures.waits.mean == 0
    assert played.groups[0].node_hours == pytest.approx(1.0)
