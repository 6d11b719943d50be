"""`lepton core export` and `lepton core import`: give a further core the keys of the platform."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lepton_ai.cli.core_process import is_held
from lepton_ai.cli.output import notice, print_json
from lepton_ai.cli.session import session_of
from lepton_ai.errors import Unavailable
from lepton_ai.settings import default_home

KEY_VARIABLE = "LEPTON_CORE_KEY"

app = typer.Typer()


@app.command("export")
def export_keys(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, for `lepton core import` elsewhere.")],
) -> None:
    """Write the keys of this machine's core to a sealed file, and print the key that opens it, once.

    The two together open everything that the platform holds. Carry them over different ways.

    \b
    Example:
      lepton core export core.sealed
    """
    from lepton_ai.backends import core_keys

    session = session_of(context)
    key = core_keys.export_keys(default_home(), file)
    if session.is_json:
        print_json({"file": str(file), "key": key})
        return
    notice(f"Where the other core will run: lepton core import {file.name}; it asks for this key:")
    typer.echo(key)


@app.command("import")
def import_keys(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `lepton core export` wrote.")],
) -> None:
    """Put the keys of a platform into this machine's state folder, so that its core can stand by.

    The key is asked for, or taken from LEPTON_CORE_KEY.

    \b
    Example:
      lepton core import core.sealed
    """
    from lepton_ai.backends import core_keys
    from lepton_ai.backends.home import Home

    session, folder = session_of(context), default_home()
    if is_held(folder):
        raise Unavailable(f"A core runs on {folder}.", hint="Stop it first: lepton down --keep-running")
    key = os.environ.get(KEY_VARIABLE) or typer.prompt("Key", hide_input=True, err=True)
    core_keys.import_keys(Home(folder).folder, file, key.strip())
    if session.is_json:
        print_json({"home": str(folder)})
        return
    typer.echo(f"{folder} holds the keys of the platform. Next: lepton up --standby")
