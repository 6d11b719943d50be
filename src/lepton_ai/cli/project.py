"""`lepton project`: teams. Nothing of one project is visible in another."""

from __future__ import annotations

from typing import Annotated

import typer

from lepton_ai.cli.moment import age
from lepton_ai.cli.output import print_json, print_table
from lepton_ai.cli.session import session_of

app = typer.Typer()


@app.command("create")
def create_project(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The project's name.", show_default=False)],
    description: Annotated[str, typer.Option(help="What it is for.", show_default=False)] = "",
) -> None:
    """Create a project.

    \b
    Example:
      lepton project create vision --description "Inspection cameras"
    """
    session = session_of(context)
    project = session.connect().projects.create(name, description=description)
    if session.is_json:
        print_json(project)
        return
    typer.echo(f"Project {project.name} is created. Work in it: lepton run --project {project.name} -- COMMAND")


@app.command("list")
def list_projects(context: typer.Context) -> None:
    """List projects.

    \b
    Example:
      lepton project list
    """
    session = session_of(context)
    projects = list(session.connect().projects.list())
    if session.is_json:
        print_json(projects)
        return
    rows = ((each.name, each.spec.description or "-", age(each.metadata.created_at)) for each in projects)
    print_table(("NAME", "DESCRIPTION", "AGE>"), rows, empty="There are no projects.")
