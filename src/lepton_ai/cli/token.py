"""`lepton token`: the keys that speak for users."""

from __future__ import annotations

from typing import Annotated

import typer

from lepton_ai.cli.moment import age, clock_time
from lepton_ai.cli.output import notice, print_json, print_table
from lepton_ai.cli.session import session_of
from lepton_ai.kernel.clock import SystemClock

app = typer.Typer()


@app.command("create")
def create_token(
    context: typer.Context,
    user: Annotated[str, typer.Option(help="Whom it speaks for.", show_default=False)],
    name: Annotated[str, typer.Option(help="The token's name; one is made up without.", show_default=False)] = "",
    expires: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it holds, such as 30d; for ever without.")
    ] = "",
) -> None:
    """Make a token for a user; it is shown once.

    It goes to standard output alone, so that it can be piped into a file.

    \b
    Example:
      lepton token create --user ada --expires 30d
    """
    from lepton_ai.types.quantity import parse_duration

    session = session_of(context)
    try:
        expires_at = SystemClock().now() + parse_duration(expires) if expires else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expires") from error
    made = session.connect().tokens.create(user, name=name, expires_at=expires_at)
    if session.is_json:
        print_json({"token": made.token, "object": made.object})
        return
    notice(f"This is the only time that token {made.object.name} of {user} is shown:")
    typer.echo(made.token)


@app.command("list")
def list_tokens(context: typer.Context) -> None:
    """List tokens, without their values.

    \b
    Example:
      lepton token list
    """
    session = session_of(context)
    tokens = list(session.connect().tokens.list())
    if session.is_json:
        print_json(tokens)
        return
    rows = ((t.name, t.spec.user, clock_time(t.spec.expires_at), age(t.metadata.created_at)) for t in tokens)
    print_table(("NAME", "USER", "EXPIRES", "AGE>"), rows, empty="There are no tokens.")


@app.command("delete")
def delete_token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The token's name.", show_default=False)],
) -> None:
    """Withdraw a token at once.

    \b
    Example:
      lepton token delete ada-laptop
    """
    session = session_of(context)
    deleted = session.connect().tokens.collection.delete(name)
    if session.is_json:
        print_json(deleted)
        return
    typer.echo(f"Token {name} is withdrawn.")
