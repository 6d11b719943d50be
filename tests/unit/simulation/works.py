"""Small traces and fleets for the tests of the simulation, random ones too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.snapshot import Demand, NodeView
from lepton_ai.simulation.engine import Outcome
from lepton_ai.simulation.trace import Trace, TraceTask, sifted
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.worlds import GB, accelerators, node

GPU_NODE = node("gpu-1", 16, *["nvidia-h100-80gb"] * 8)
GPU_NODES = (GPU_NODE, node("gpu-2", 16, *["nvidia-h100-80gb"] * 8))


def work(name: str, submitted: float, seconds: float, devices: int = 1, **more: float) -> TraceTask:
    """A task on whole devices, each with a CPU, or on one CPU; `size` and `weight` are 1 if not said."""
    wanted = AcceleratorRequest(count=devices) if devices else None
    demand = Demand(max(devices, 1) * 1000, GB, wanted, int(more.get("size", 1)))
    return TraceTask(name, submitted, seconds, demand, kind=name.rstrip("0123456789"), weight=more.get("weight", 1.0))


def trace(*tasks: TraceTask) -> Trace:
    kept, skipped = sifted(tasks, {})
    return Trace("test", "test", kept, skipped=skipped)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Up to 15 tasks, gangs and shares among them, some of which fit nowhere; many at the same second."""
    found = []
    for row in range(draw(st.integers(1, 15))):
        demand = Demand(
            draw(st.integers(0, 9)) * 500, draw(st.integers(0, 4)) * GB, draw(accelerators), draw(st.integers(1, 3))
        )
        submitted, seconds = draw(st.integers(0, 50)) * 10.0, draw(st.integers(1, 2000)) * 1.0
        found.append(TraceTask(f"t{row}", submitted, seconds, demand, kind=draw(st.sampled_from(["", "a", "b"]))))
    return trace(*found)


def overcommitted(outcome: Outcome) -> list[str]:
    """Return each amount of which more was held at some moment than there is, reckoned without the scheduler's code."""
    changes: list[tuple[float, int, tuple[str, str], int]] = []
    for stretch in outcome.stretches:
        for part in stretch.allocations:
            held = {("cpu", part.node): part.cpu_milli, ("memory", part.node): part.memory_bytes}
            held |= {(part.node, share.device_id): share.share_milli for share in part.devices}
            for key, amount in held.items():
                changes += [(stretch.start, 1, key, amount), (stretch.end, 0, key, -amount)]
    room = {("cpu", one.name): one.cpu_milli for one in outcome.nodes}
    room |= {("memory", one.name): one.memory_bytes for one in outcome.nodes}
    used: Counter[tuple[str, str]] = Counter()
    found = []
    for at, _, key, amount in sorted(changes):
        used[key] += amount
        if used[key] > room.get(key, 1000):
            found.append(f"{key} at {at}")
    return found


def ends(outcome: Outcome) -> dict[str, float]:
    """Return when each task ended, by id."""
    return {outcome.trace.tasks[row].id: at for row, at in outcome.ends.items()}


def fleet(*nodes: NodeView) -> Sequence[NodeView]:
    return nodes or GPU_NODES
