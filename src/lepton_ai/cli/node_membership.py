"""`lepton node token` and `lepton node remove`: who may join the cluster, and who no longer belongs to it."""

from __future__ import annotations

from typing import Annotated

import typer

from lepton_ai.cli.moment import clock_time
from lepton_ai.cli.node import NodeName
from lepton_ai.cli.output import notice, print_json
from lepton_ai.cli.session import session_of

app = typer.Typer()


@app.command("token")
def node_token(
    context: typer.Context,
    expires: Annotated[str, typer.Option(metavar="DURATION", help="How long it may be used, at most 7d.")] = "1h",
) -> None:
    """Make a token for one machine to join.

    It is shown once, to standard output alone, and is used up by the machine that joins with it.

    \b
    Example:
      lepton node token
    """
    from lepton_ai.types.quantity import parse_duration

    session = session_of(context)
    try:
        seconds = parse_duration(expires).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expires") from error
    client = session.connect()
    token, expires_at = client.nodes.invite(seconds)
    if session.is_json:
        print_json({"token": token, "expires_at": expires_at.isoformat(), "url": client.url})
        return
    notice(f"For one machine, until {clock_time(expires_at)}. On it: lepton join {client.url} --token TOKEN")
    typer.echo(token)


@app.command("remove")
def remove_node(
    context: typer.Context,
    name: NodeName,
    now: Annotated[bool, typer.Option("--now", help="Even if work runs there; that is lost or starts anew.")] = False,
) -> None:
    """Remove a machine that has joined, and withdraw its identity.

    Its agent ends Ray there as soon as it hears of it. The machine may join again with a new token.

    \b
    Example:
      lepton node remove my-machine
    """
    session = session_of(context)
    session.connect().nodes.remove(name, now=now)
    if session.is_json:
        print_json({"removed": name})
        return
    typer.echo(f"Node {name} is removed.")
