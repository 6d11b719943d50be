"""`lepton secret`: values that jobs and endpoints get by name and nobody can read back."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lepton_ai.cli.moment import age
from lepton_ai.cli.output import print_json, print_table
from lepton_ai.cli.session import session_of

VALUE_BYTES_MAX = 65_536  # what the core takes

SecretName = Annotated[str, typer.Argument(metavar="NAME", help="The secret's name.", show_default=False)]

app = typer.Typer()


@app.command("set")
def set_secret(context: typer.Context, name: SecretName) -> None:
    """Store a value, read from standard input or a prompt.

    The value is never an argument, since others on the machine could see it there. One final line break is left out.

    \b
    Example:
      lepton secret set hub-token < token.txt
      lepton run --secret HUB_TOKEN=hub-token -- python train.py
    """
    session = session_of(context)
    value = _read_value(name)
    if not value:
        raise typer.BadParameter("the value is empty.")
    secret = session.connect().secrets.set(name, value)
    if session.is_json:
        print_json(secret)
        return
    typer.echo(f"Secret {name} is stored. Give it to a job: lepton run --secret VARIABLE={name} -- COMMAND")


@app.command("list")
def list_secrets(context: typer.Context) -> None:
    """List the names of secrets.

    \b
    Example:
      lepton secret list
    """
    session = session_of(context)
    secrets = list(session.connect().secrets.list())
    if session.is_json:
        print_json(secrets)
        return
    rows = ((s.name, age(s.metadata.updated_at or s.metadata.created_at), s.metadata.created_by) for s in secrets)
    print_table(("NAME", "SET AGO>", "BY"), rows, empty="There are no secrets. Store one: lepton secret set NAME")


@app.command("delete")
def delete_secret(context: typer.Context, name: SecretName) -> None:
    """Delete a secret.

    \b
    Example:
      lepton secret delete hub-token
    """
    session = session_of(context)
    deleted = session.connect().secrets.collection.delete(name)
    if session.is_json:
        print_json(deleted)
        return
    typer.echo(f"Secret {name} is deleted.")


def _read_value(name: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"Value of {name}", hide_input=True, err=True))
    value = sys.stdin.read(VALUE_BYTES_MAX + 2)
    if len(value.encode(errors="replace")) > VALUE_BYTES_MAX + 1:
        raise typer.BadParameter(f"the value has more than {VALUE_BYTES_MAX:,} bytes.")
    return value.removesuffix("\n")
