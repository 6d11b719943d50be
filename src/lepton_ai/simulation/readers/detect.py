"""Finds out what a file of recorded work or of nodes is, and reads it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lepton_ai.errors import InvalidInput, TooLarge
from lepton_ai.kernel.scheduling.snapshot import NodeView
from lepton_ai.simulation.node_shapes import NODES_MAX
from lepton_ai.simulation.readers import openb, philly, slurm
from lepton_ai.simulation.readers.rows import Table, open_table
from lepton_ai.simulation.trace import TASKS_MAX, Trace, TraceTask, sifted

DEVICES_EACH = 8  # of a node, where nobody says
AUTO = "auto"
EPOCH_SECONDS_MIN = 631_152_000  # 1990: what is submitted later counts from 1970, anything else from nothing
_Reader = Callable[[Table, int], tuple[list[TraceTask], dict[str, int], list[str]]]
READERS: Mapping[str, _Reader] = {philly.NAME: philly.read, openb.NAME: openb.read, slurm.NAME: slurm.read}


def read_trace(path: Path, format_name: str = AUTO, devices_each: int = DEVICES_EACH) -> Trace:
    """Read recorded work; raises InvalidInput with file, line and column, TooLarge beyond TASKS_MAX tasks.

    `devices_each` is how many devices a node has: where a trace tells of devices alone, larger jobs are gangs.
    """
    table = open_table(path, "|" if _is_slurm(path, format_name) else ",")
    name = _format_of(table) if format_name == AUTO else format_name
    if name not in READERS:
        raise InvalidInput(f"There is no trace format {name[:40]!r}.", hint=f"Known: {', '.join(READERS)}.")
    found, skipped, notes = READERS[name](table, devices_each)
    if len(found) > TASKS_MAX:
        raise TooLarge(f"{path.name} has {len(found):,} tasks; {TASKS_MAX:,} fit.", hint="Cut it into parts by time.")
    first = min((task.submitted for task in found if math.isfinite(task.submitted)), default=0.0)
    tasks, left_out = sifted(found, skipped)
    if not tasks:
        why = "; ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        raise InvalidInput(f"{path.name} has no task that can be replayed{f': {why}' if why else ''}.")
    return Trace(path.name, name, tasks, _began(first), left_out, tuple(notes))


def read_nodes(path: Path) -> Sequence[NodeView]:
    """Read a list of nodes in the form of the openb trace: sn,cpu_milli,memory_mib,gpu,model."""
    nodes = openb.read_nodes(open_table(path))
    names = {node.name for node in nodes}
    if not nodes:
        raise InvalidInput(f"{path.name} has no nodes.", hint=f"Its columns: {','.join(openb.NODE_COLUMNS)}")
    if len(names) < len(nodes):
        raise InvalidInput(f"{path.name}: {len(nodes) - len(names)} nodes have the name of another.")
    if len(nodes) > NODES_MAX:
        raise TooLarge(f"{path.name} has {len(nodes):,} nodes; {NODES_MAX:,} fit.")
    return nodes


def _is_slurm(path: Path, format_name: str) -> bool:
    if format_name != AUTO:
        return format_name == slurm.NAME
    return "|" in "".join(open_table(path).titles)


def _format_of(table: Table) -> str:
    titles = set(table.titles)
    if {"JobID", "Submit"} <= titles:
        return slurm.NAME
    if {"cpu_milli", "num_gpu"} <= titles:
        return openb.NAME
    if set(philly.NEEDED) <= set(philly.column_names(table.titles)):
        return philly.NAME
    raise InvalidInput(
        f"{table.name} is no trace that is known here; its columns are {', '.join(table.titles)[:120]}.",
        hint="Known: sacct --parsable2 (JobID|Submit|...), openb (name,cpu_milli,...), submit_s,duration_s,num_gpus.",
    )


def _began(first: float) -> datetime | None:
    if not EPOCH_SECONDS_MIN <= first <= 4e9:
        return None
    return datetime.fromtimestamp(first, UTC)
