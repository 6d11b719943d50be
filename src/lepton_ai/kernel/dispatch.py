"""Turn placed tasks into orders for the runtime: ranks, rendezvous, devices, secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lepton_ai.errors import InvalidInput, NotFound
from lepton_ai.kernel.change import Note
from lepton_ai.kernel.runtime import ReplicaOrder, Runtime, StoredVersion
from lepton_ai.types.checkpoint import RESUMED_VARIABLE
from lepton_ai.types.node import Device, Hardware
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI, Allocation
from lepton_ai.types.task import Replica, Task, TaskState

Unseal = Callable[[str, str], str]  # (project, secret name) -> plain value; raises NotFound


@dataclass(frozen=True, slots=True)
class Supplies:
    """Where orders get what is not in the task: plain secrets, and the checkpoint that it goes on from."""

    unseal: Unseal
    stored_version: Callable[[Task], StoredVersion | None]


def act(
    task: Task, runtime: Runtime, seen: Mapping[str, Replica], hardware: Mapping[str, Hardware], supplies: Supplies
) -> Mapping[int, Note]:
    """Say again whatever is still wanted of the runtime; every one of these commands may be repeated.

    Returns the ranks that cannot be started, whatever is tried, and why.
    """
    state, refused = task.status.state, {}
    for allocation in task.status.allocations:
        replica_id = task.replica_id(allocation.rank)
        replica = seen.get(replica_id)
        if state is TaskState.STARTING and replica is None and not task.spec.stop_requested:
            try:
                ordered = order(task, allocation, hardware, supplies)
            except NotFound as error:
                refused[allocation.rank] = Note("secret_missing", str(error))
                continue
            try:
                runtime.start(ordered)
            except InvalidInput as error:
                refused[allocation.rank] = Note("not_startable", str(error))
        elif state is TaskState.STOPPING and replica is not None and replica.exit is None:
            runtime.stop(replica_id, task.spec.program.grace)
    return refused


def order(task: Task, allocation: Allocation, hardware: Mapping[str, Hardware], supplies: Supplies) -> ReplicaOrder:
    """Return all that a runtime needs to start one rank. Raises NotFound for a secret that is not there."""
    program = task.spec.program
    devices = _devices(allocation, hardware.get(allocation.node))
    return ReplicaOrder(
        replica_id=task.replica_id(allocation.rank),
        rank=allocation.rank,
        allocation=allocation,
        program=program,
        processes=task.spec.resources.processes,
        env={**_platform_env(task), **program.env, **_rank_env(task, allocation), **_device_env(devices)},
        secrets={name: supplies.unseal(task.project, secret) for name, secret in program.secrets.items()},
        gang=task.status.allocations if task.spec.size > 1 else (),
        resumes_from=supplies.stored_version(task),
    )


def delete_logs(task: Task, runtime: Runtime) -> bool:
    """Delete what is left of a task's replicas; tells that this is done."""
    for allocation in task.status.allocations:
        runtime.forget(task.replica_id(allocation.rank), delete_log=True)
    return True


def _platform_env(task: Task) -> dict[str, str]:
    cpu = max(1, task.spec.resources.cpu_milli // 1000)
    resumed = task.spec.resumes_from
    return {
        **({RESUMED_VARIABLE: resumed.name if resumed else ""} if task.spec.program.checkpoint else {}),
        "LEPTON_PROJECT": task.project,
        "LEPTON_TASK_ID": task.id,
        "LEPTON_OWNER": task.spec.owner_name,
        "LEPTON_ATTEMPT": str(task.spec.attempt),
        "LEPTON_INDEX": str(task.spec.index),
        # Numeric libraries take every core they see, and on a shared machine spin against each other for it.
        "OMP_NUM_THREADS": str(cpu),
        "OPENBLAS_NUM_THREADS": str(cpu),
        "MKL_NUM_THREADS": str(cpu),
    }


def _rank_env(task: Task, allocation: Allocation) -> dict[str, str]:
    """Return what torchrun sets for its workers (https://docs.pytorch.org/docs/stable/elastic/run.html)."""
    here = [other.rank for other in task.status.allocations if other.node == allocation.node]
    nodes = list(dict.fromkeys(other.node for other in task.status.allocations))
    return {
        "LEPTON_NODE": allocation.node,
        "RANK": str(allocation.rank),
        "WORLD_SIZE": str(task.spec.size),
        "LOCAL_RANK": str(here.index(allocation.rank)),
        "LOCAL_WORLD_SIZE": str(len(here)),
        "GROUP_RANK": str(nodes.index(allocation.node)),
        "NODE_RANK": str(nodes.index(allocation.node)),
        "GROUP_WORLD_SIZE": str(len(nodes)),
        "MASTER_ADDR": task.status.master_address,
        "MASTER_PORT": str(task.status.master_port),
    }


def _devices(allocation: Allocation, hardware: Hardware | None) -> list[tuple[Device, int]]:
    known = {device.id: device for device in hardware.devices} if hardware else {}
    return [(known[share.device_id], share.share_milli) for share in allocation.devices if share.device_id in known]


def _device_env(devices: list[tuple[Device, int]]) -> dict[str, str]:
    env: dict[str, list[str]] = {}
    for device, _ in devices:
        for name, value in device.environment:
            env.setdefault(name, []).append(value)
    joined = {name: ",".join(values) for name, values in env.items()}
    shares = [share for _, share in devices if share < WHOLE_DEVICE_MILLI]
    if shares and any(device.vendor == "nvidia" for device, _ in devices):
        joined["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] = str(max(1, shares[0] // 10))
    # Hide every accelerator from work that was given none: frameworks grab whatever they can see.
    return joined or {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "-1", "ROCR_VISIBLE_DEVICES": ""}
