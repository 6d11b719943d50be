"""How `lepton simulate` shows what each project got."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import typer

from lepton_ai.cli.moment import span
from lepton_ai.cli.output import print_table
from lepton_ai.simulation.by_project import ProjectFigures
from lepton_ai.simulation.figures import Figures

PROJECTS_MAX = 20  # the others are in the JSON


def show_projects(runs: Sequence[Figures]) -> None:
    """Print what each project held and waited, one line for each run; nothing where there is but one project."""
    found = [{one.project: one for one in run.projects} for run in runs]
    weighty = sorted(found[-1], key=lambda name: (-found[-1][name].hours, name))
    if not weighty:
        return
    typer.echo()
    rows = [
        ("" if number else name, *named(run, runs), *_cells(found[number].get(name)))
        for name in sorted(weighty[:PROJECTS_MAX])
        for number, run in enumerate(runs)
    ]
    titles = ("TASKS>", "SHARE>", "MEAN WAIT>", "P99>", "BORROWED>", "RECLAIMED>")
    print_table(("PROJECT", *run_title(runs), *titles), rows, empty="")
    if len(weighty) > PROJECTS_MAX:
        typer.echo(f"... and {len(weighty) - PROJECTS_MAX:,} smaller ones: --output json")


def run_title(runs: Sequence[Figures]) -> tuple[str, ...]:
    """Return the title of the column that tells runs apart; none where there is but one."""
    return ("RUN",) if len(runs) > 1 else ()


def named(run: Figures, runs: Sequence[Figures]) -> tuple[str, ...]:
    """Return the cell of that column."""
    return (run.name,) if len(runs) > 1 else ()


def _cells(one: ProjectFigures | None) -> tuple[str, ...]:
    if one is None:
        return ("-",) * 6
    waits = [span(timedelta(seconds=value), is_exact=True) for value in (one.waits.mean, one.waits.p99)]
    borrowed = "-" if one.borrowed_hours is None else f"{one.borrowed_hours:,.1f} h"
    shown = waits if one.waits.tasks else ["-", "-"]
    return f"{one.waits.tasks:,}", f"{one.share:.1%}", *shown, borrowed, str(one.reclaimed)
