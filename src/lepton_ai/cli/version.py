"""`lepton version`: which release this is."""

from __future__ import annotations

import platform

import typer

from lepton_ai.cli.output import print_json
from lepton_ai.cli.session import session_of
from lepton_ai.version import VERSION

app = typer.Typer()


@app.command("version")
def version(context: typer.Context) -> None:
    """Print the version of this program.

    \b
    Example:
      lepton version
    """
    if session_of(context).is_json:
        print_json({"version": VERSION, "python": platform.python_version()})
        return
    typer.echo(f"lepton {VERSION}")
