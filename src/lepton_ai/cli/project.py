"""`lepton project`: teams, what each is promised and may hold, and what it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lepton_ai.cli.output import notice, print_fields, print_json, print_table
from lepton_ai.cli.project_bounds import SPEC, amounts_of, ceilings_of, used, with_bars
from lepton_ai.cli.session import session_of

if TYPE_CHECKING:
    from lepton_ai.types.share import ProjectUsage

app = typer.Typer()

ProjectName = Annotated[str, typer.Argument(metavar="NAME", help="The project's name.", show_default=False)]
Description = Annotated[str | None, typer.Option(help="What it is for.", show_default=False)]
Parent = Annotated[str | None, typer.Option(metavar="NAME", help="The project that it is below; '' is none.")]
Quota = Annotated[
    str | None, typer.Option(metavar=SPEC, help="What is promised to it, such as gpu=8,h100=4,cpu=64,memory=256GB.")
]
Limit = Annotated[str | None, typer.Option(metavar=SPEC, help="What it may hold at most, in the same form.")]
Weight = Annotated[float | None, typer.Option(min=0.001, help="Its part of what nobody is promised.  [default: 1]")]
Borrow = Annotated[
    bool | None, typer.Option("--borrow/--no-borrow", help="Whether it may use the idle quota of others.")
]
Spend = Annotated[
    str | None,
    typer.Option(metavar=SPEC, help="What it may use up, such as device-hours=500,money=1000; 'none' is all."),
]
SoftSpend = Annotated[
    str | None, typer.Option(metavar=SPEC, help="Once this is used up, its new work waits behind that of others.")
]
Stop = Annotated[
    bool | None, typer.Option("--stop/--no-stop", help="At the budget's end, stop what may not be preempted as well.")
]


@app.command("create")
def create_project(
    context: typer.Context,
    *,
    name: ProjectName,
    description: Description = None,
    parent: Parent = None,
    quota: Quota = None,
    limit: Limit = None,
    weight: Weight = None,
    borrow: Borrow = None,
    budget: Spend = None,
    soft_budget: SoftSpend = None,
    stop: Stop = None,
) -> None:
    """Create a project.

    \b
    Example:
      lepton project create vision --description "Inspection cameras"
      lepton project create speech --quota gpu=4 --limit gpu=8
    """
    session = session_of(context)
    wanted = _changes(description=description, parent=parent, weight=weight, borrow=borrow)
    wanted |= _bounds(quota, limit) | _budget(budget, soft_budget, stop)
    project = session.connect().projects.create(name, wanted.pop("description", ""), **wanted)
    if session.is_json:
        print_json(project)
        return
    typer.echo(f"Project {project.name} is created. Work in it: lepton run --project {project.name} -- COMMAND")


@app.command("set")
def set_project(
    context: typer.Context,
    *,
    name: ProjectName,
    description: Description = None,
    parent: Parent = None,
    quota: Quota = None,
    limit: Limit = None,
    weight: Weight = None,
    borrow: Borrow = None,
    budget: Spend = None,
    soft_budget: SoftSpend = None,
    stop: Stop = None,
) -> None:
    """Change what a project is promised, may hold and may use up.

    What is not named stays; an amount of none takes a bound away.

    \b
    Example:
      lepton project set vision --quota gpu=8 --limit gpu=16 --budget device-hours=500
      lepton project set vision --limit gpu=none
    """
    session = session_of(context)
    wanted = _changes(description=description, parent=parent, weight=weight, borrow=borrow)
    wanted |= _bounds(quota, limit) | _budget(budget, soft_budget, stop)
    if not wanted:
        raise typer.BadParameter("say what to change, such as --quota gpu=8.")
    projects = session.connect().projects
    project = projects.update(name, wanted)
    if session.is_json:
        print_json(project)
        return
    typer.echo(f"Project {project.name} is changed. See: lepton project show {project.name}")
    warnings = {one.warning for one in projects.usage() if one.warning and one.project == project.name}
    for warning in sorted(warnings):
        notice(f"Warning: {warning}.")


@app.command("show")
def show_project(context: typer.Context, name: ProjectName) -> None:
    """Show one project: what it holds, may hold and has used up.

    \b
    Example:
      lepton project show vision
    """
    session = session_of(context)
    projects = session.connect().projects
    project = projects.get(name)
    usage = next(one for one in projects.usage() if one.project == project.name)
    if session.is_json:
        print_json(usage)
        return
    print_fields(
        [
            ("Name", project.name),
            ("Description", project.spec.description),
            ("Below", usage.parent),
            ("Weight", f"{usage.weight:g}"),
            ("Borrows", "yes" if usage.borrow else "no"),
            ("Waiting", f"{usage.waiting} tasks"),
            ("Budget", str(project.status.reason) or str(usage.state)),
            ("Warning", usage.warning),
        ]
    )
    typer.echo()
    print_table(("RESOURCE", "USED", "QUOTA>", "LIMIT>"), with_bars(usage), empty="It holds nothing and has no bounds.")


@app.command("list")
def list_projects(context: typer.Context) -> None:
    """List projects with what each holds and has used up.

    \b
    Example:
      lepton project list
    """
    session = session_of(context)
    projects = session.connect().projects
    found = list(projects.usage())
    if session.is_json:
        print_json(found)
        return
    titles = ("NAME", "CPU", "MEMORY", "DEVICES", "DEVICE-HOURS", "MONEY", "WAITING>")
    print_table(titles, map(_row, _as_tree(found)), empty="There are no projects.")
    for warning in sorted({one.warning for one in found if one.warning}):
        notice(f"Warning: {warning}.")


def _row(entry: tuple[int, ProjectUsage]) -> tuple[str, ...]:
    depth, one = entry
    hours = used(one.spent.device_seconds / 3600, one.budget.device_hours)
    money = used(one.spent.money, one.budget.money)
    state = "" if one.state == "open" else f" ({one.state})"
    columns = [_bound(one, name) for name in ("cpu", "memory", "gpu")]
    return (f"{'  ' * depth}{one.project}{state}", *columns, hours, money, str(one.waiting))


def _bound(usage: ProjectUsage, name: str) -> str:
    from lepton_ai.cli.project_bounds import Line

    return Line.of(usage, name).short()


def _as_tree(found: list[ProjectUsage]) -> list[tuple[int, ProjectUsage]]:
    """Return the projects, each followed by those below it, with how deep they are."""
    names = {one.project for one in found}

    def below(parent: str, depth: int) -> list[tuple[int, ProjectUsage]]:
        listed = []
        for one in found:
            if one.parent == parent or (not parent and one.parent not in names):
                listed += [(depth, one), *below(one.project, depth + 1)]
        return listed

    return below("", 0)


def _changes(**given: object) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _bounds(quota: str | None, limit: str | None) -> dict[str, Any]:
    said = {"quota": quota, "limit": limit}
    return {name: amounts_of(f"--{name}", text) for name, text in said.items() if text is not None}


def _budget(budget: str | None, soft: str | None, stop: bool | None) -> dict[str, Any]:
    found = ceilings_of(budget, soft) | _changes(stop=stop)
    return {"budget": found} if found else {}
