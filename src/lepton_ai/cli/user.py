"""`lepton user`: people and programs, and their roles in projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli.moment import age
from lepton_ai.cli.output import print_json, print_table
from lepton_ai.cli.pairs import read_pairs
from lepton_ai.cli.session import session_of

if TYPE_CHECKING:
    from lepton_ai.types.identity import User

app = typer.Typer()


@app.command("create")
def create_user(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user's name.", show_default=False)],
    role: Annotated[
        list[str] | None,
        typer.Option(metavar="PROJECT=ROLE", help="admin, member or viewer in a project; * is the whole platform."),
    ] = None,
) -> None:
    """Create a user with roles in projects.

    \b
    Example:
      lepton user create ada --role vision=member --role speech=viewer
      lepton token create --user ada
    """
    session = session_of(context)
    user = session.connect().users.create(name, roles=read_pairs("--role", role or []))
    if session.is_json:
        print_json(user)
        return
    typer.echo(f"User {user.name} is created. Make a token: lepton token create --user {user.name}")
    typer.echo("Their jobs run as the operating-system user of this core: give tokens to people you trust with that.")


@app.command("list")
def list_users(context: typer.Context) -> None:
    """List users and their roles.

    \b
    Example:
      lepton user list
    """
    session = session_of(context)
    users = list(session.connect().users.list())
    if session.is_json:
        print_json(users)
        return
    print_table(("NAME", "ROLES", "AGE>"), map(_row, users), empty="There are no users.")


def _row(user: User) -> tuple[str, ...]:
    roles = ", ".join(f"{project}={role}" for project, role in sorted(user.spec.roles.items()))
    return (user.name, roles or "-", age(user.metadata.created_at))
