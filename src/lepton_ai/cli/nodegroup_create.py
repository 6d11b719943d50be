"""`lepton nodegroup create` and `update`: what a node group should be."""

from __future__ import annotations

from typing import Annotated

import typer

from lepton_ai.cli.nodegroup import GroupName
from lepton_ai.cli.output import print_json
from lepton_ai.cli.pairs import read_pairs
from lepton_ai.cli.session import session_of

Min = Annotated[int | None, typer.Option("--min", min=0, help="So many nodes always.  [default: 0]")]
Max = Annotated[int | None, typer.Option("--max", min=0, help="Never more.  [default: 1]")]
Cpu = Annotated[float | None, typer.Option(min=0.001, help="CPUs of a node.  [default: 1]")]
Memory = Annotated[str, typer.Option(metavar="SIZE", help="Memory of a node.  [default: 4GB]")]
CpuClass = Annotated[str, typer.Option(metavar="CLASS", help="Class of its CPUs, such as cpu-avx512.")]
Devices = Annotated[str, typer.Option(metavar="NxKIND", help="Its accelerators, such as 8xnvidia-h100-80gb.")]
DeviceMemory = Annotated[str, typer.Option(metavar="SIZE", help="Memory of each of them.")]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="site=berlin. Repeatable.")]
Price = Annotated[float | None, typer.Option(min=0.0, help="Of one node for an hour.  [default: 0]")]
Settings = Annotated[
    list[str] | None, typer.Option("--setting", "-s", metavar="NAME=VALUE", help="The provider's own. Repeatable.")
]
IdleTime = Annotated[str, typer.Option(metavar="DURATION", help="Idle for so long, a node goes.  [default: 10m]")]
BootTime = Annotated[str, typer.Option(metavar="DURATION", help="How long a node takes to come up.  [default: 3m]")]

app = typer.Typer()


@app.command("create")
def create_group(  # noqa: PLR0917 - each is an option
    context: typer.Context,
    name: GroupName,
    provider: Annotated[str, typer.Option(help="Who makes the nodes: command, process or kuberay.")],
    least: Min = None,
    most: Max = None,
    cpu: Cpu = None,
    memory: Memory = "",
    cpu_class: CpuClass = "",
    devices: Devices = "",
    device_memory: DeviceMemory = "",
    label: Labels = None,
    price: Price = None,
    setting: Settings = None,
    idle_time: IdleTime = "",
    boot_time: BootTime = "",
) -> None:
    """Create a node group.

    Its nodes come when work waits for want of room, and go when they are idle.

    \b
    Example:
      lepton nodegroup create gpus --provider command --max 4 --cpu 64 --memory 512GB \\
        --devices 8xnvidia-h100-80gb --device-memory 80GB --price 32 \\
        -s create=/etc/lepton/create -s delete=/etc/lepton/delete -s list=/etc/lepton/list
    """
    session = session_of(context)
    spec = _spec(least, most, price, idle_time, boot_time)
    spec |= _parts(label, setting, _shape(cpu, memory, cpu_class, devices, device_memory))
    group = session.connect().node_groups.create(name, provider=provider, **spec)
    if session.is_json:
        print_json(group)
        return
    typer.echo(
        f"Node group {name} may have {group.spec.min} to {group.spec.max} nodes. See: lepton nodegroup show {name}"
    )


@app.command("update")
def update_group(  # noqa: PLR0917 - each is an option
    context: typer.Context,
    name: GroupName,
    least: Min = None,
    most: Max = None,
    cpu: Cpu = None,
    memory: Memory = "",
    cpu_class: CpuClass = "",
    devices: Devices = "",
    device_memory: DeviceMemory = "",
    label: Labels = None,
    price: Price = None,
    setting: Settings = None,
    idle_time: IdleTime = "",
    boot_time: BootTime = "",
) -> None:
    """Change a node group; what is not named stays as it is.

    Nodes that are there stay what they are.

    \b
    Example:
      lepton nodegroup update gpus --max 8 --idle-time 5m
    """
    session = session_of(context)
    spec = _spec(least, most, price, idle_time, boot_time)
    spec |= _parts(label, setting, _shape(cpu, memory, cpu_class, devices, device_memory))
    group = session.connect().node_groups.update(name, **spec)
    if session.is_json:
        print_json(group)
        return
    typer.echo(f"Node group {name} may have {group.spec.min} to {group.spec.max} nodes.")


def _spec(least: int | None, most: int | None, price: float | None, idle: str, boot: str) -> dict[str, object]:
    numbers = {"min": least, "max": most, "price": price}
    texts = {"idle_time": idle, "boot_time": boot}
    return {
        **{key: value for key, value in numbers.items() if value is not None},
        **{key: value for key, value in texts.items() if value},
    }


def _parts(label: list[str] | None, setting: list[str] | None, shape: dict[str, object]) -> dict[str, object]:
    labels, settings = read_pairs("--label", label or ()), read_pairs("--setting", setting or ())
    return {key: value for key, value in (("labels", labels), ("settings", settings), ("node", shape)) if value}


def _shape(cpu: float | None, memory: str, cpu_class: str, devices: str, device_memory: str) -> dict[str, object]:
    shape: dict[str, object] = {} if cpu is None else {"cpu": cpu}
    texts = {"memory": memory, "cpu_class": cpu_class, "device_memory": device_memory}
    shape |= {key: value for key, value in texts.items() if value}
    if devices:
        count, cross, kind = devices.partition("x")
        if not (cross and count.isdigit() and kind):
            raise typer.BadParameter(
                f"{devices[:80]!r} is not of the form NxKIND: 8xnvidia-h100-80gb", param_hint="--devices"
            )
        shape |= {"devices": int(count), "device": kind}
    return shape
