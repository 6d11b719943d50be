"""`lepton leave`: takes this machine out of its cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from lepton_ai.cli.output import print_json
from lepton_ai.cli.session import session_of
from lepton_ai.errors import Unavailable
from lepton_ai.settings import default_home

app = typer.Typer()


@app.command("leave")
def leave(
    context: typer.Context,
    now: Annotated[bool, typer.Option("--now", help="Even if work runs here; that is lost or starts anew.")] = False,
) -> None:
    """Take this machine out of its cluster.

    It is refused while work runs here. The core forgets the node; Ray and the agent end; the node's keys are deleted.

    \b
    Example:
      lepton leave
    """
    from lepton_ai.agent.starting import leave as leave_cluster
    from lepton_ai.backends.ray_cluster.place import ClusterPlace

    session, place = session_of(context), ClusterPlace(default_home())
    name = place.recall().name
    try:
        was_known = leave_cluster(place, now=now)
    except Unavailable as error:
        error.hint = f"{error.hint} If the core is gone for good: lepton leave --now".strip()
        raise
    if session.is_json:
        print_json({"left": name, "was_known": was_known})
        return
    typer.echo(f"This machine is node {name} no more{'' if was_known else '; the core had removed it before'}.")
