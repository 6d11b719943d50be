"""Reads what `sacct --parsable2` prints of jobs.

Source of the form: sacct(1), https://slurm.schedmd.com/sacct.html. What is good to have:
sacct -aPX -S now-7days -o JobID,Account,User,JobName,Priority,Submit,Start,End,ElapsedRaw,State,ReqTRES,AllocTRES
Time limits are left out: people ask for a multiple of what they need (Mu'alem and Feitelson, TPDS 2001).
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from lepton_ai.kernel.scheduling.snapshot import Demand
from lepton_ai.simulation.readers.rows import Row, Table, too_many_devices
from lepton_ai.simulation.trace import TraceTask
from lepton_ai.types.resources import ACCELERATORS_MAX, AcceleratorRequest
from lepton_ai.types.task import GANG_MAX

NAME = "slurm"
WEIGHT_RANGE = (1 / 16, 16.0)  # what priorities of 0 and 100 weigh here
_STEP = re.compile(
    r"\d+(?:[_+]\S+?)?\.\w+"
)  # 123.batch, 123.0, 123_4.extern: parts of a job that has a line of its own
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)B?([nc]?)", re.IGNORECASE)
_SCALE = {"": 2**20, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50, "E": 2**60}  # Slurm counts by 1024


class _Amounts(NamedTuple):
    """What a job asked for, over all its nodes."""

    cpus: float
    memory_bytes: int
    nodes: int
    gpus: int
    gpu_kind: str


def read(table: Table, devices_each: int) -> tuple[list[TraceTask], dict[str, int], list[str]]:
    """Return the tasks, what was skipped by reason, and notes. Priorities over their median are the weights."""
    table.need("Slurm", "JobID", "Submit")
    if not {"ElapsedRaw", "Elapsed", "End"} & set(table.titles):
        table.need("Slurm", "ElapsedRaw")
    skipped: Counter[str] = Counter()
    found: list[tuple[TraceTask, float]] = []
    for row in table.rows:
        reason = _unusable(row)
        if reason:
            skipped[reason] += 1
        else:
            found.append((_task(row), row.amount("Priority", "a priority")))
    weighted = list(_weighted(found))
    notes = ["Weights: Slurm's priority over the median, 1/16 to 16."] if "Priority" in table.titles else []
    return weighted, dict(skipped), notes


def _unusable(row: Row) -> str:
    state = row.text("State").partition(" ")[0].upper()
    if _STEP.fullmatch(row.text("JobID")):
        return "steps of jobs, whose jobs are taken"
    if state in {"PENDING", "REQUEUED"} or math.isnan(_start(row)):
        return "never started"
    return "still running" if state in {"RUNNING", "SUSPENDED", "COMPLETING"} or math.isnan(_seconds(row)) else ""


def _start(row: Row) -> float:
    return row.moment("Start") if "Start" in row.cells else row.moment("Submit")


def _seconds(row: Row) -> float:
    if row.text("ElapsedRaw"):
        return row.number("ElapsedRaw", "a number of seconds")
    if row.text("Elapsed"):
        return row.span("Elapsed")
    return row.moment("End") - _start(row)


def _task(row: Row) -> TraceTask:
    amounts = _amounts(row)
    submitted, began = row.moment("Submit"), _start(row)
    eligible = row.moment("Eligible")  # held back or waiting for others until then
    submitted = submitted if math.isnan(eligible) else max(submitted, eligible)
    each = -(-amounts.gpus // amounts.nodes)
    wanted = AcceleratorRequest(kind=amounts.gpu_kind, count=each) if each else None
    cpu, memory = round(amounts.cpus * 1000 / amounts.nodes), amounts.memory_bytes // amounts.nodes
    kind = f"{row.text('User')[:64]}/{_program(row.text('JobName'))}/{amounts.nodes}/{amounts.gpus}"
    return TraceTask(
        row.text("JobID")[:128],
        submitted,
        _seconds(row),
        Demand(cpu, memory, wanted, amounts.nodes),
        kind=kind,
        waited=max(began - submitted, 0.0) if "Start" in row.cells else -1.0,
        project=(row.text("Account") or row.text("User"))[:128],
    )


def _program(name: str) -> str:
    """Return a job's name without the numbers at its end, so that train-1 and train-2 are alike."""
    return name.rstrip("0123456789_-.")[:64]


def _amounts(row: Row) -> _Amounts:
    column = next((name for name in ("ReqTRES", "AllocTRES") if row.text(name)), "")
    parts = _pairs(row, column) if column else {}
    nodes = int(parts.get("node", "")) if "node" in parts else row.count("NNodes", "a number of nodes", 1)
    nodes = max(nodes, 1)  # jobs that were cancelled before they began are told with 0
    if nodes > GANG_MAX:
        raise row.wrong(column or "NNodes", f"has more than {GANG_MAX} nodes")
    cpus = float(parts["cpu"]) if "cpu" in parts else _cpus(row)
    memory = _bytes(row, column, parts["mem"]) if "mem" in parts else _asked_memory(row, cpus, nodes)
    kind = next((name.partition(":")[2] for name in parts if name.startswith("gres/gpu:")), "")
    gpus = int(parts.get("gres/gpu", "") or sum(int(parts[n]) for n in parts if n.startswith("gres/gpu:")))
    if gpus > ACCELERATORS_MAX * nodes:
        raise too_many_devices(row, column, gpus)
    return _Amounts(cpus, memory, nodes, gpus, kind.lower()[:256])


def _pairs(row: Row, column: str) -> dict[str, str]:
    """Return `billing=8,cpu=8,gres/gpu:a100=2,mem=64G,node=1` by name."""
    pairs = {}
    for pair in row.text(column).split(","):
        name, equals, value = pair.strip().partition("=")
        is_counted = name in {"cpu", "node", "gres/gpu"} or name.startswith("gres/gpu:")  # and not gres/gpumem=10G
        if not equals or (is_counted and not (value.isdecimal() and len(value) < 10)):
            raise row.wrong(column, f"has {pair.strip()[:40]!r}, which is no NAME=NUMBER")
        pairs[name] = value
    return pairs


def _cpus(row: Row) -> float:
    column = next((name for name in ("ReqCPUS", "AllocCPUS", "NCPUS") if row.text(name)), "ReqCPUS")
    return row.amount(column, "a number of CPUs", 1.0)


def _asked_memory(row: Row, cpus: float, nodes: int) -> int:
    """Return ReqMem over all nodes; until Slurm 21.08 it ended in n (for each node) or c (for each CPU)."""
    text = row.text("ReqMem")
    found = _MEMORY.fullmatch(text) if text else None
    times = {"n": nodes, "c": cpus}.get(found[3].lower(), 1) if found else 1
    return int(_bytes(row, "ReqMem", text) * times) if text else 0


def _bytes(row: Row, column: str, text: str) -> int:
    found = _MEMORY.fullmatch(text)
    if not found or len(text) > 24:
        raise row.wrong(column, f"has {text[:40]!r}, which is no memory such as 4000M or 1.5G")
    return int(float(found[1]) * _SCALE[found[2].upper()])


def _weighted(found: Iterable[tuple[TraceTask, float]]) -> Iterable[TraceTask]:
    listed = list(found)
    known = [priority for _, priority in listed if priority > 0]
    middle = statistics.median(known) if known else 0.0
    low, high = WEIGHT_RANGE
    for task, priority in listed:
        weight = min(max(priority / middle, low), high) if middle and priority > 0 else 1.0
        yield replace(task, weight=weight)
