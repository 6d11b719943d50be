"""`lepton node`: the machines that work runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli.output import print_fields, print_json, print_table
from lepton_ai.cli.pairs import read_pairs
from lepton_ai.cli.session import session_of

if TYPE_CHECKING:
    from lepton_ai.types.node import Node

NodeName = Annotated[str, typer.Argument(metavar="NAME", help="The node's name.", show_default=False)]

app = typer.Typer()


@app.command("list")
def list_nodes(context: typer.Context) -> None:
    """List the machines.

    \b
    Example:
      lepton node list
    """
    session = session_of(context)
    nodes = list(session.connect().nodes.list())
    if session.is_json:
        print_json(nodes)
        return
    titles = ("NAME", "STATE", "CLASSES", "CPUS>", "MEMORY>", "LABELS")
    print_table(titles, map(_row, nodes), empty="There are no nodes.")


@app.command("show")
def show_node(context: typer.Context, name: NodeName) -> None:
    """Show one machine and its hardware.

    \b
    Example:
      lepton node show my-machine
    """
    session = session_of(context)
    node = session.connect().nodes.get(name)
    if session.is_json:
        print_json(node)
        return
    print_fields(_fields(node))


@app.command("cordon")
def cordon_node(context: typer.Context, name: NodeName) -> None:
    """Give a machine no new work; what runs there goes on.

    \b
    Example:
      lepton node cordon my-machine
    """
    _set_cordon(context, name, is_cordoned=True)


@app.command("uncordon")
def uncordon_node(context: typer.Context, name: NodeName) -> None:
    """Give a machine new work again.

    \b
    Example:
      lepton node uncordon my-machine
    """
    _set_cordon(context, name, is_cordoned=False)


@app.command("price")
def set_price(
    context: typer.Context,
    name: NodeName,
    price: Annotated[float, typer.Argument(min=0.0, metavar="PRICE", help="Of an hour of all of it.")],
) -> None:
    """Say what an hour of a machine costs.

    A task that holds half of what is scarcest there costs half of it.

    \b
    Example:
      lepton node price my-machine 2.50
    """
    session = session_of(context)
    node = session.connect().nodes.set_price(name, price)
    if session.is_json:
        print_json(node)
        return
    typer.echo(f"An hour of node {name} costs {price:g}, for what is placed there from now on.")


@app.command("label")
def label_node(
    context: typer.Context,
    name: NodeName,
    labels: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE|KEY-", help="A label to set, or to drop.", show_default=False)
    ],
) -> None:
    """Say where a machine is, so that work can ask for it.

    What waits is looked at anew at once; what runs stays where it runs.

    \b
    Example:
      lepton node label my-machine site=berlin rack=r3
      lepton node label my-machine rack-
    """
    dropped = {each.removesuffix("-"): None for each in labels if "=" not in each and each.endswith("-")}
    kept = read_pairs("KEY=VALUE", [each for each in labels if each.removesuffix("-") not in dropped])
    session = session_of(context)
    node = session.connect().nodes.set_labels(name, {**kept, **dropped})
    if session.is_json:
        print_json(node)
        return
    typer.echo(f"Node {name} has {_labels(node) or 'no labels'}.")


def _labels(node: Node) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(node.metadata.labels.items()))


def _set_cordon(context: typer.Context, name: str, *, is_cordoned: bool) -> None:
    session = session_of(context)
    nodes = session.connect().nodes
    node = nodes.cordon(name) if is_cordoned else nodes.uncordon(name)
    if session.is_json:
        print_json(node)
        return
    typer.echo(f"Node {name} gets {'no new work' if is_cordoned else 'new work again'}.")


def _row(node: Node) -> tuple[str, ...]:
    from lepton_ai.types.quantity import format_bytes

    hardware = node.status.hardware
    state = ", ".join(_state(node))
    if hardware is None:
        return (node.name, state, "-", "-", "-", _labels(node))
    classes = ", ".join(hardware.resource_classes())
    return (node.name, state, classes, str(hardware.threads), format_bytes(hardware.memory_bytes), _labels(node))


def _state(node: Node) -> list[str]:
    """Return a node's state, and whatever else keeps work from it."""
    words = [str(node.status.state)]
    if node.spec.drain_by is not None:
        return [*words, "drained" if node.status.reason.code == "drained" else "draining"]
    return [*words, "cordoned"] if node.spec.cordoned else words


def _fields(node: Node) -> list[tuple[str, str]]:
    from lepton_ai.types.quantity import format_bytes

    status = node.status
    fields = [
        ("Name", node.name),
        ("State", ", ".join(_state(node))),
        ("Reason", status.reason.sentence),
        ("Labels", _labels(node)),
        ("Address", status.address),
        ("Limits", status.limits),
    ]
    if status.hardware is None:
        return fields
    hardware = status.hardware
    fields += [
        ("CPU", hardware.cpu_model),
        ("Cores", f"{hardware.cores}, {hardware.threads} threads"),
        ("Class", hardware.cpu_class),
        ("Instructions", " ".join(hardware.instruction_sets)),
        ("Memory", format_bytes(hardware.memory_bytes)),
    ]
    for disk in hardware.disks:
        free = f"{format_bytes(disk.free_bytes)} of {format_bytes(disk.total_bytes)} free"
        fields.append(("Disk", f"{disk.mount} ({disk.device}): {free}"))
    for device in hardware.devices:
        fields.append(("Device", f"{device.model} ({device.kind}), {format_bytes(device.memory_bytes)}"))
    for lost in hardware.unprobed:
        fields.append(("Not usable", f"{lost.vendor} at {lost.where}: {lost.why} {lost.hint}".strip()))
    return fields
