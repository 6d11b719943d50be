"""Reads the openb trace: pods of a production cluster, and its nodes.

Source of the form: cluster-trace-gpu-v2023 of Alibaba (Weng et al., "Beware of Fragmentation", ATC 2023).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from lepton_ai.kernel.scheduling.snapshot import Demand, DeviceView, NodeView
from lepton_ai.simulation.readers.rows import Row, Table, too_many_devices
from lepton_ai.simulation.trace import TraceTask
from lepton_ai.types.quantity import BYTES_MAX
from lepton_ai.types.resources import ACCELERATORS_MAX, WHOLE_DEVICE_MILLI, AcceleratorRequest

NAME = "openb"
MIB = 2**20
NEEDED = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "creation_time", "deletion_time", "scheduled_time")
NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
# The trace ranks its pods by quality of service and gives no weights: each step counts twice the one below.
WEIGHTS: Mapping[str, float] = {"LS": 4.0, "Guaranteed": 4.0, "Burstable": 2.0, "BE": 1.0}

NOTE = "Weights by quality of service: LS and Guaranteed 4, Burstable 2, BE 1. It stands for the project, too."


def read(table: Table, devices_each: int) -> tuple[list[TraceTask], dict[str, int], list[str]]:
    """Return the tasks, what was skipped by reason, and notes. A pod runs from `scheduled_time` to `deletion_time`."""
    table.need("openb", *NEEDED)
    skipped: Counter[str] = Counter()
    tasks = []
    for row in table.rows:
        if not row.text("scheduled_time"):
            skipped["never started"] += 1
        elif not row.text("deletion_time"):
            skipped["still running"] += 1
        else:
            tasks.append(_task(row))
    return tasks, dict(skipped), [NOTE]


def read_nodes(table: Table) -> list[NodeView]:
    """Return the nodes of an openb node list."""
    table.need("openb node", *NODE_COLUMNS)
    nodes = []
    for row in table.rows:
        count = row.count("gpu", "a number of GPUs")
        if count > ACCELERATORS_MAX:
            raise too_many_devices(row, "gpu", count)
        name, model = row.text("sn")[:128] or f"node-{row.line:05}", row.text("model").lower()
        devices = tuple(DeviceView(f"{name}-{index}", model or "gpu", 0) for index in range(count))
        cpu = round(row.amount("cpu_milli", "thousandths of a CPU"))
        memory = round(row.amount("memory_mib", "MiB of memory") * MIB)
        if memory > BYTES_MAX:
            raise row.wrong("memory_mib", f"is more than {BYTES_MAX // MIB:,} MiB, the most that a node may have")
        nodes.append(NodeView(name, "cpu", cpu, memory, devices))
    return nodes


def _task(row: Row) -> TraceTask:
    created = row.number("creation_time", "a number of seconds", float("nan"))
    began = row.number("scheduled_time", "a number of seconds")
    seconds = row.number("deletion_time", "a number of seconds") - began
    cpu = round(row.amount("cpu_milli", "thousandths of a CPU"))
    demand = Demand(cpu, round(row.amount("memory_mib", "MiB of memory") * MIB), _wanted(row))
    quality = row.text("qos")
    kind = f"{quality}/{demand.cpu_milli}/{row.text('num_gpu')}/{row.text('gpu_milli')}"
    weight = WEIGHTS.get(quality, 1.0)
    waited = max(began - created, 0.0)
    return TraceTask(row.text("name")[:128], created, seconds, demand, weight, kind, waited=waited, project=quality)


def _wanted(row: Row) -> AcceleratorRequest | None:
    count = row.count("num_gpu", "a number of GPUs")
    if not count:
        return None
    if count > ACCELERATORS_MAX:
        raise too_many_devices(row, "num_gpu", count)
    share = row.count("gpu_milli", "thousandths of a GPU", WHOLE_DEVICE_MILLI)
    if not 1 <= share <= WHOLE_DEVICE_MILLI or (count > 1 and share < WHOLE_DEVICE_MILLI):
        raise row.wrong("gpu_milli", f"is no share of {count} GPUs: 1 to 1000 of one, or 1000 of each of several")
    kind = "|".join(sorted(filter(None, row.text("gpu_spec").lower().split("|"))))
    return AcceleratorRequest(kind=kind[:256], count=count, share_milli=share)
