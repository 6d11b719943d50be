"""Which nodes are added: no more than needed, the cheapest that do, and none for what they cannot help."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.growth import Growth, Offer, grow
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import (
    Bounds,
    NodeView,
    Price,
    ProjectView,
    RunningTask,
    Snapshot,
    WaitingTask,
)
from lepton_ai.types.resources import AcceleratorRequest
from lepton_ai.types.where import read_where
from tests.unit.kernel.scheduling.worlds import GB, NOW, node, running, task

H100 = "nvidia-h100-80gb"


def offer(group: str, cpus: int, price: float, *kinds: str, **more: float) -> Offer:
    """Ten nodes, each there after a minute, unless `room` and `boot` say otherwise."""
    view = node(group, cpus, *kinds)
    priced = replace(view, price=Price(price, view.cpu_milli, view.memory_bytes, len(kinds)))
    return Offer(group, priced, int(more.get("room", 10)), more.get("boot", 60.0))


def world(waiting: Sequence[WaitingTask], *nodes: NodeView, busy: Sequence[RunningTask] = ()) -> Snapshot:
    return Snapshot(NOW, nodes, tuple(waiting), tuple(busy))


def counts(growth: Growth) -> dict[str, int]:
    return {group: len(nodes) for group, nodes in growth.add.items()}


def tasks(count: int, cpus: float) -> list[WaitingTask]:
    return [task(f"t{n}", cpus) for n in range(count)]


def test_nothing_is_added_where_all_have_room() -> None:
    assert grow(world(tasks(2, 2), node("a", 4)), [offer("g", 4, 1.0)]) == Growth(used=frozenset("a"))


def test_the_first_node_of_an_empty_fleet_is_added_with_the_tasks_that_it_is_for() -> None:
    growth = grow(world(tasks(3, 2)), [offer("g", 8, 1.0)])
    assert growth.add == {"g": [["t0", "t1", "t2"]]}


def test_no_more_are_added_than_what_waits_fills() -> None:
    assert counts(grow(world(tasks(9, 2)), [offer("g", 4, 1.0)])) == {"g": 5}


def test_what_is_there_already_is_filled_first() -> None:
    growth = grow(world(tasks(4, 2), node("a", 4)), [offer("g", 4, 1.0, boot=10)])
    assert (counts(growth), growth.used) == ({"g": 1}, frozenset("a"))


def test_more_than_there_is_room_for_is_not_added() -> None:
    assert counts(grow(world(tasks(9, 4)), [offer("g", 4, 1.0, room=3)])) == {"g": 3}


def test_the_cheaper_of_two_groups_is_taken() -> None:
    assert counts(grow(world(tasks(1, 2)), [offer("dear", 4, 3.0), offer("cheap", 4, 1.0)])) == {"cheap": 1}


def test_one_large_node_is_taken_where_it_is_cheaper_than_many_small_ones() -> None:
    groups = [offer("small", 1, 1.0), offer("large", 8, 3.0)]
    assert counts(grow(world(tasks(8, 1)), groups)) == {"large": 1}
    assert counts(grow(world(tasks(2, 1)), groups)) == {"small": 2}


def test_sizes_are_mixed_where_that_is_cheapest() -> None:
    groups = [offer("small", 1, 1.0), offer("large", 8, 3.0)]
    assert counts(grow(world(tasks(9, 1)), groups)) == {"small": 1, "large": 1}


def test_a_gang_gets_all_its_nodes_or_none() -> None:
    gang = [task("gang", 4, size=4)]
    assert counts(grow(world(gang, node("a", 4)), [offer("g", 4, 1.0)])) == {"g": 3}
    assert grow(world(gang, node("a", 4)), [offer("g", 4, 1.0, room=2)]) == Growth()


def test_only_nodes_with_the_device_and_the_label_will_do() -> None:
    wants = [task("t", 1, gpu=AcceleratorRequest(kind="h100"))]
    assert counts(grow(world(wants), [offer("cpu", 64, 0.1), offer("h100", 8, 9.0, H100)])) == {"h100": 1}
    there = replace(wants[0], demand=replace(wants[0].demand, accelerator=None, where=read_where(("site=berlin",))))
    berlin = offer("berlin", 4, 5.0)
    berlin = replace(berlin, node=replace(berlin.node, labels=(("site", "berlin"),)))
    assert counts(grow(world([there]), [offer("paris", 4, 1.0), berlin])) == {"berlin": 1}


def test_what_starts_by_itself_before_a_node_were_there_asks_for_none() -> None:
    there = node("a", 4)
    busy = running("r", there, 4, ends_in=30)
    assert grow(world([task("t", 4)], there, busy=[busy]), [offer("g", 4, 1.0, boot=60)]) == Growth()
    assert counts(grow(world([task("t", 4)], there, busy=[busy]), [offer("g", 4, 1.0, boot=10)])) == {"g": 1}


def test_nodes_are_not_added_for_a_project_that_may_hold_no_more() -> None:
    limited = replace(world([replace(task("t", 4), project="p")]), projects=(ProjectView("p", limit=Bounds(1000)),))
    assert grow(limited, [offer("g", 8, 1.0)]) == Growth()


def test_nothing_is_added_for_what_fits_nowhere() -> None:
    assert counts(grow(world([task("t", 64)]), [offer("g", 8, 1.0)])) == {}


sizes = st.sampled_from([1, 2, 3, 4])
demands = st.lists(st.tuples(sizes, st.sampled_from([1, 1, 2, 3])), min_size=1, max_size=5)
shapes = st.lists(st.tuples(sizes, st.integers(1, 6)), min_size=1, max_size=2, unique_by=lambda shape: shape[0])


@settings(deadline=None, max_examples=25)  # each plays up to 25 plans
@given(demands, shapes)
def test_the_set_is_hardly_dearer_than_the_best_of_all_and_serves_whom_that_serves(
    wanted: list[tuple[int, int]], offered: list[tuple[int, int]]
) -> None:
    waiting = [task(f"t{n}", cpus, size=size) for n, (cpus, size) in enumerate(wanted)]
    offers = [offer(f"g{cpus}", cpus, price, room=4) for cpus, price in offered]

    def started(some: Sequence[int]) -> frozenset[str]:
        nodes = [view for one, count in zip(offers, some, strict=True) for view in one.nodes(count)]
        return frozenset(placed.task_id for placed in schedule(world(waiting, *nodes)).placements)

    def price(some: Sequence[int]) -> float:
        return sum(one.price * count for one, count in zip(offers, some, strict=True))

    sets = list(itertools.product(range(5), repeat=len(offers)))
    served = started([4] * len(offers))
    best = min(price(some) for some in sets if served <= started(some))
    growth = grow(world(waiting), offers)
    found = [len(growth.add.get(one.group, ())) for one in offers]
    assert served <= started(found)
    assert best <= price(found) <= 1.5 * best


def test_memory_counts_as_well() -> None:
    hungry = task("t", 1)
    hungry = replace(hungry, demand=replace(hungry.demand, memory_bytes=40 * GB))
    assert counts(grow(world([hungry]), [offer("small", 4, 1.0), offer("large", 16, 4.0)])) == {"large": 1}
