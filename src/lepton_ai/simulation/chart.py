"""A Gantt picture in characters: one line for each task, or for each node if there are many tasks."""

from __future__ import annotations

from collections.abc import Sequence

from lepton_ai.simulation.engine import Outcome, Stretch
from lepton_ai.simulation.figures import Held, held_over_time

LINES_MAX = 24  # so many fit a terminal; more nodes than that share lines
SHADES = " ░▒▓█"
Chart = Sequence[tuple[str, str]]  # a label and a line of characters


def task_chart(outcome: Outcome, until: float, cells: int) -> Chart:
    """Return a line for each task by submission, over 0..until: `·` while it waits, `█` while it runs."""
    runs: dict[int, list[Stretch]] = {}
    for stretch in outcome.stretches:
        runs.setdefault(stretch.task, []).append(stretch)
    rows = []
    for row, task in enumerate(outcome.trace.tasks):
        line = [" "] * cells
        stretches = runs.get(row, [])
        _fill(line, (task.submitted, max((one.end for one in stretches), default=until)), until, "·")
        for one in stretches:
            _fill(line, (one.start, one.end), until, "█")
        rows.append((task.id, "".join(line)))
    return rows


def node_chart(outcome: Outcome, until: float, cells: int) -> Chart:
    """Return a line for each node, or for several, shaded by how much of their devices was held over 0..until.

    Nodes without devices are shaded by their CPUs.
    """
    each = -(-len(outcome.nodes) // LINES_MAX) or 1
    groups = [outcome.nodes[first : first + each] for first in range(0, len(outcome.nodes), each)]
    line_of = {node.name: line for line, group in enumerate(groups) for node in group}
    by_cpu = [not any(node.devices for node in group) for group in groups]
    held: list[list[Held]] = [[] for _ in groups]
    for stretch in outcome.stretches:
        for part in stretch.allocations:
            line = line_of[part.node]
            amount = part.cpu_milli if by_cpu[line] else sum(device.share_milli for device in part.devices)
            held[line].append((stretch.start, stretch.end, float(amount)))
    rows = []
    for group, is_cpu, parts in zip(groups, by_cpu, held, strict=True):
        devices = sum(device.share_milli for node in group for device in node.devices)
        room = (sum(node.cpu_milli for node in group) if is_cpu else devices) or 1
        shares = held_over_time(parts, until, cells) / room
        label = group[0].name if len(group) == 1 else f"{group[0].name} +{len(group) - 1}"
        rows.append((label, "".join(_shade(float(share)) for share in shares)))
    return rows


def _shade(share: float) -> str:
    # What is a little in use must not look idle.
    return SHADES[0] if share <= 1e-9 else SHADES[min(max(1, round(share * 4)), 4)]


def _fill(line: list[str], part: tuple[float, float], until: float, mark: str) -> None:
    start, end = part
    if until <= 0 or end <= start:
        return
    first = min(int(start / until * len(line)), len(line) - 1)
    last = min(max(first + 1, round(end / until * len(line))), len(line))
    line[first:last] = mark * (last - first)
