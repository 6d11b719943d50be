"""`lepton join`: makes this machine a node of a cluster."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lepton_ai.cli.output import notice, print_json
from lepton_ai.cli.pairs import read_pairs
from lepton_ai.cli.session import session_of
from lepton_ai.errors import LeptonError
from lepton_ai.settings import default_home

TOKEN_VARIABLE = "LEPTON_JOIN_TOKEN"  # noqa: S105 - a variable's name

app = typer.Typer()


@app.command("join")
def join(  # noqa: PLR0917 - each is an option
    context: typer.Context,
    url: Annotated[
        str, typer.Argument(metavar="[URL]", help="Where the core is; none starts a machine that has joined before.")
    ] = "",
    token: Annotated[
        str,
        typer.Option(help=f"The join token; better in {TOKEN_VARIABLE}, where no process list shows it."),
    ] = "",
    name: Annotated[str, typer.Option(help="The node's name.  [default: the host's]", show_default=False)] = "",
    address: Annotated[str, typer.Option(help="This machine's IP address for the others.  [default: found]")] = "",
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A label, such as site=berlin. Repeatable.")
    ] = None,
    wait: Annotated[float, typer.Option(min=1.0, help="Seconds that Ray has to start.")] = 90.0,
) -> None:
    """Make this machine a node of a cluster, or start it again.

    The token comes from `lepton node token` on the core's machine, and tells how to know that core.

    \b
    Example:
      lepton join https://10.0.0.1:8443 --token TOKEN
      lepton join https://10.0.0.1:8443 --token TOKEN --name gpu-1 --label site=berlin
      lepton join
    """
    from lepton_ai.agent.joining import JoinWish
    from lepton_ai.agent.joining import join as join_cluster
    from lepton_ai.agent.starting import start_agent, start_ray
    from lepton_ai.backends.ray_cluster.place import ClusterPlace
    from lepton_ai.kernel.clock import SystemClock

    session, place = session_of(context), ClusterPlace(default_home())
    if url:
        secret = token or os.environ.get(TOKEN_VARIABLE, "")
        wish = JoinWish(url, secret, name, address, read_pairs("--label", label or ()))
        joined = join_cluster(wish, place.home, SystemClock())
        notice(f"This machine is node {joined.name} of {joined.url}, at {joined.address}.")
    joined = place.recall()
    try:
        findings = start_ray(place, wait)
    except LeptonError as error:
        error.hint = f"{error.hint} It stays a node: try again with lepton join, or give up with lepton leave.".strip()
        raise
    pid = start_agent(place)
    if session.is_json:
        print_json({"node": joined.name, "address": joined.address, "head": joined.head, "agent": {"pid": pid}})
        return
    typer.echo(f"Ray runs, and none of its {len(findings)} open ports answers strangers. Agent: process {pid}.")
