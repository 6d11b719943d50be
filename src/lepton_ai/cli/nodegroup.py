"""`lepton nodegroup`: machines that come and go with the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli.event import print_events
from lepton_ai.cli.moment import age, span
from lepton_ai.cli.output import print_fields, print_json, print_table
from lepton_ai.cli.session import session_of

if TYPE_CHECKING:
    from lepton_ai.types.node_group import GroupNode, NodeGroup

GroupName = Annotated[str, typer.Argument(metavar="NAME", help="The node group's name.", show_default=False)]

app = typer.Typer()


@app.command("list")
def list_groups(context: typer.Context) -> None:
    """List node groups, with how many nodes each has.

    \b
    Example:
      lepton nodegroup list
    """
    session = session_of(context)
    groups = list(session.connect().node_groups.each())
    if session.is_json:
        print_json(groups)
        return
    titles = ("NAME", "PROVIDER", "READY>", "COMING>", "GOING>", "MIN>", "MAX>", "PRICE>", "REASON")
    empty = "There are no node groups. Make one: lepton nodegroup create NAME --provider command ..."
    print_table(titles, map(_row, groups), empty=empty)


@app.command("show")
def show_group(context: typer.Context, name: GroupName) -> None:
    """Show one node group, its nodes, and what happened to it.

    \b
    Example:
      lepton nodegroup show gpus
    """
    session = session_of(context)
    groups = session.connect().node_groups
    group = groups.get(name)
    if session.is_json:
        print_json(group)
        return
    print_fields(_fields(group))
    if group.status.nodes:
        typer.echo()
        rows = map(_node_row, group.status.nodes)
        print_table(("NODE", "STATE", "SINCE>", "AGE>", "IDLE FOR>", "MADE FOR TASKS"), rows, empty="")
    typer.echo()
    print_events(session, groups.events(name))


@app.command("delete")
def delete_group(context: typer.Context, name: GroupName) -> None:
    """Delete a node group; its nodes are drained and deleted first.

    \b
    Example:
      lepton nodegroup delete gpus
    """
    session = session_of(context)
    group = session.connect().node_groups.delete(name)
    if session.is_json:
        print_json(group)
        return
    typer.echo(f"Node group {name} is being deleted; its nodes go as soon as nothing runs there.")


@app.command("manifest")
def print_manifest(
    context: typer.Context,
    name: GroupName,
    replicas: Annotated[int | None, typer.Option(min=0, help="How many nodes now.  [default: the minimum]")] = None,
) -> None:
    """Print what KubeRay needs to run a group of provider kuberay.

    It is a RayCluster, as YAML. KubeRay changes the number of nodes only when another manifest says so.

    \b
    Example:
      lepton nodegroup manifest gpus | kubectl apply -f -
    """
    import yaml

    from lepton_ai.backends.node_providers.kuberay import manifest
    from lepton_ai.backends.ray_cluster.versions import own_versions

    session = session_of(context)
    group = session.connect().node_groups.get(name)
    count = group.spec.min if replicas is None else replicas
    if not group.spec.min <= count <= group.spec.max:
        bounds = f"{group.spec.min} to {group.spec.max}"
        raise typer.BadParameter(f"group {name} has {bounds} nodes, not {count}", param_hint="--replicas")
    found = manifest(group.name, group.spec, own_versions().ray, count)
    if session.is_json:
        print_json(found)
        return
    typer.echo(yaml.safe_dump(found, sort_keys=False), nl=False)


def _counts(group: NodeGroup) -> tuple[int, int, int]:
    from lepton_ai.types.node_group import COMING, GOING

    states = [node.state for node in group.status.nodes]
    coming, going = sum(state in COMING for state in states), sum(state in GOING for state in states)
    return len(states) - coming - going, coming, going


def _row(group: NodeGroup) -> tuple[str, ...]:
    spec = group.spec
    counts = map(str, (*_counts(group), spec.min, spec.max))
    return (group.name, spec.provider, *counts, f"{spec.price:g}", str(group.status.reason))


def _fields(group: NodeGroup) -> list[tuple[str, str]]:
    from lepton_ai.types.quantity import format_bytes

    spec, shape = group.spec, group.spec.node
    ready, coming, going = _counts(group)
    devices = f", {shape.devices} x {shape.device}" if shape.devices else ""
    return [
        ("Name", group.name),
        ("Provider", spec.provider),
        ("Nodes", f"{ready} ready, {coming} coming, {going} going; {spec.min} to {spec.max}"),
        ("Reason", group.status.reason.sentence),
        ("A node has", f"{shape.cpu:g} CPUs ({shape.cpu_class}), {format_bytes(shape.memory)}{devices}"),
        ("Price", f"{spec.price:g} an hour each" if spec.price else ""),
        ("Labels", ", ".join(f"{key}={value}" for key, value in sorted(spec.labels.items()))),
        ("Boot time", f"about {span(spec.boot_time)}"),
        ("Idle time", f"{span(spec.idle_time)}, then a node goes"),
    ]


def _node_row(node: GroupNode) -> tuple[str, ...]:
    idle = age(node.idle_since) if node.idle_since else ""
    return (node.name, node.state.value, age(node.since), age(node.created_at), idle, ", ".join(node.tasks))
