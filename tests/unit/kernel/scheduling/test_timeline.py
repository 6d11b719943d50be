"""What will be free when: a timeline that is added to says what one made anew says."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.demand import Shape
from lepton_ai.kernel.scheduling.fleet import Fleet, Ledger
from lepton_ai.kernel.scheduling.held import Holdings, together
from lepton_ai.kernel.scheduling.timeline import Timeline
from tests.unit.kernel.scheduling.worlds import GB, node

FLEET = Fleet([node("a", 8, "t4"), node("b", 4), node("c", 8)])
ends = st.sampled_from([1.0, 2.0, 2.0, 5.0, 8.5, math.inf])
rows = st.tuples(st.integers(0, 2), st.integers(0, 3), ends)


def holdings(found: list[tuple[int, int, float]]) -> Holdings:
    count, cpu = len(found), np.array([c * 1000 for _, c, _ in found], dtype=np.int64)
    return Holdings(
        np.array([end for _, _, end in found]),
        np.array([where for where, _, _ in found], dtype=np.int64),
        cpu,
        cpu * 1000,
        np.zeros((count, FLEET.device_total.shape[1]), dtype=np.int64),
        np.zeros(count, dtype=np.bool_),
        np.array([f"t{i}" for i in range(count)], dtype=np.object_),
        np.zeros(count, dtype=np.int64),
    )


def less(free: Ledger, held: Holdings) -> Ledger:
    np.subtract.at(free.cpu, held.node, held.cpu)
    np.subtract.at(free.memory, held.node, held.memory)
    return free


@settings(max_examples=200, deadline=None)
@given(st.lists(rows, min_size=1, max_size=6), st.lists(st.lists(rows, min_size=1, max_size=4), max_size=4))
def test_what_is_held_later_counts_as_if_it_had_been_held_from_the_start(
    first: list[tuple[int, int, float]], more: list[list[tuple[int, int, float]]]
) -> None:
    base = holdings(first)
    grown = Timeline(less(FLEET.ledger(), base), base)
    for one in more:
        grown.hold(holdings(one))
    whole = together([base, *(holdings(one) for one in more)])
    anew = Timeline(less(FLEET.ledger(), whole), whole)
    assert (grown.time.tolist(), grown.node.tolist()) == (anew.time.tolist(), anew.node.tolist())
    last = np.append(np.diff(anew.time) + np.diff(anew.node) > 0, True)  # rows of one moment are steps on the way
    for ours, theirs in ((grown.cpu, anew.cpu), (grown.memory, anew.memory), (grown.devices, anew.devices)):
        assert (ours[last] == theirs[last]).all()
    (pool,) = FLEET.cpu_pools(apart=False)
    for shape in (Shape(3000, GB), Shape(2000, GB, 4)):
        then, expected = grown.opening(shape, pool), anew.opening(shape, pool)
        assert (then and then.seconds) == (expected and expected.seconds)
