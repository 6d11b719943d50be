"""`lepton resources`: each resource, how much of it is used and what holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from lepton_ai.cli.output import bar, percent, print_json, print_table
from lepton_ai.cli.session import session_of

if TYPE_CHECKING:
    from lepton_ai.types.resource_view import ResourceView

app = typer.Typer()


@app.command("resources")
def resources(context: typer.Context) -> None:
    """Show each resource, its use and what holds it.

    Utilization is measured. Allocation counts the tasks that hold a part of the resource.

    \b
    Example:
      lepton resources
    """
    session = session_of(context)
    found = list(session.connect().resources())
    if session.is_json:
        print_json(found)
        return
    titles = ("#>", "NODE", "CLASS", "UTILIZATION", "ALLOCATED", "MEMORY>", "TASKS")
    print_table(titles, map(_row, found), empty="There are no resources yet.")
    if found:
        typer.echo()
    for each in found:
        typer.echo(f"Resource {each.number}: Utilization: {percent(each.utilisation)}, Allocation: {each.allocation}")


def _row(resource: ResourceView) -> tuple[str, ...]:
    return (
        str(resource.number),
        resource.node,
        resource.resource_class,
        f"{bar(resource.utilisation, 8)} {percent(resource.utilisation):>4}",
        f"{bar(resource.allocated, 8)} {percent(resource.allocated):>4}",
        _memory(resource),
        ", ".join(resource.tasks) or "-",
    )


def _memory(resource: ResourceView) -> str:
    from lepton_ai.types.quantity import format_bytes

    used = format_bytes(resource.memory_used_bytes) if resource.memory_used_bytes >= 0 else "?"
    return f"{used} / {format_bytes(resource.memory_bytes)}"
