"""Reads Philly-like CSV: when a job was submitted, how long it ran, on how many GPUs; more columns if they are there.

Source of the form: an extract of msr-fiddle/philly-traces (Jeon et al., ATC 2019): submit_s, duration_s, num_gpus, vc.
"""

from __future__ import annotations

from collections.abc import Mapping

from lepton_ai.kernel.scheduling.snapshot import Demand
from lepton_ai.simulation.readers.rows import Row, Table
from lepton_ai.simulation.trace import TraceTask
from lepton_ai.types.quantity import parse_bytes
from lepton_ai.types.resources import ACCELERATORS_MAX, AcceleratorRequest
from lepton_ai.types.task import GANG_MAX

NAME = "philly"
NEEDED = ("submit_s", "duration_s", "num_gpus")
# Other names that people give the same columns.
ALSO: Mapping[str, tuple[str, ...]] = {
    "submit_s": ("submit_time", "submitted", "arrival_s", "submit"),
    "duration_s": ("duration", "runtime_s", "run_time"),
    "num_gpus": ("gpus", "num_gpu", "devices"),
    "id": ("job_id", "jobid", "name"),
    "vc": ("project", "user", "queue", "partition"),
    "weight": (),
    "cpus": ("num_cpus", "cpu"),
    "memory": (),
    "gpu_kind": ("gpu_type", "kind"),
}
WEIGHT_MAX = 1e9


def column_names(titles: tuple[str, ...]) -> dict[str, str]:
    """Return which title stands for each column that is known here."""
    found = {}
    for name, others in ALSO.items():
        title = next((each for each in (name, *others) if each in titles), "")
        if title:
            found[name] = title
    return found


def read(table: Table, devices_each: int) -> tuple[list[TraceTask], dict[str, int], list[str]]:
    """Return the tasks, what was skipped by reason, and notes. Jobs above `devices_each` GPUs become gangs."""
    names = column_names(table.titles)
    missing = [name for name in NEEDED if name not in names]
    if missing:
        table.need("Philly-like", *missing)
    tasks = [_task(row, names, devices_each) for row in table.rows]
    notes = (
        [] if "cpus" in names else ["The trace names no CPUs: tasks with devices hold devices alone, others one CPU."]
    )
    return tasks, {}, notes


def _task(row: Row, names: Mapping[str, str], devices_each: int) -> TraceTask:
    def title(name: str) -> str:
        return names.get(name, name)

    gpus = row.count(title("num_gpus"), "a number of GPUs")
    most = max(min(devices_each, ACCELERATORS_MAX), 1)
    if gpus > GANG_MAX * most:  # to look for equal parts of a large prime takes for ever
        raise row.wrong(title("num_gpus"), f"is more than {GANG_MAX} nodes of {most}")
    size, each = gang(gpus, devices_each)
    if size > GANG_MAX:
        raise row.wrong(title("num_gpus"), f"is more than {GANG_MAX} nodes of {each}")
    cpus = row.amount(title("cpus"), "a number of CPUs", 0.0 if gpus else 1.0)
    kind, wanted = row.text(title("gpu_kind")).lower(), None
    if gpus:
        wanted = AcceleratorRequest(kind=kind[:256], count=each)
    demand = Demand(round(cpus * 1000 / size), _memory(row, title("memory")) // size, wanted, size)
    weight = row.amount(title("weight"), f"a weight from 0 to {WEIGHT_MAX:g}", 1.0)
    if weight > WEIGHT_MAX:
        raise row.wrong(title("weight"), f"is not a weight from 0 to {WEIGHT_MAX:g}")
    project = row.text(title("vc"))[:128]
    return TraceTask(
        row.text(title("id"))[:128],
        row.number(title("submit_s"), "a number of seconds", float("nan")),
        row.number(title("duration_s"), "a number of seconds", float("nan")),
        demand,
        weight,
        f"{project}/{gpus}",
        project=project,
    )


def gang(devices: int, devices_each: int) -> tuple[int, int]:
    """Return how many replicas of how many devices a job of so many devices is: the fewest that are alike and fit."""
    size = -(-devices // max(min(devices_each, ACCELERATORS_MAX), 1)) or 1
    while devices % size:
        size += 1
    return size, devices // size


def _memory(row: Row, column: str) -> int:
    text = row.text(column)
    try:
        return parse_bytes(text or "0")
    except ValueError:
        raise row.wrong(column, "is not an amount such as 64GB") from None
