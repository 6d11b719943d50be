"""`lepton up`: starts the core in the background and makes the next command work with no further set-up."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from lepton_ai.cli.bring_up import Wish, bring_up
from lepton_ai.cli.core_process import RunningCore
from lepton_ai.cli.local_profile import LOCAL, check_profile_name
from lepton_ai.cli.output import notice, print_json
from lepton_ai.cli.session import Session, session_of
from lepton_ai.settings import default_home

CLUSTER_SECONDS = 120.0  # Ray's head is waited for as well, and its own limit is 90 s

app = typer.Typer()


@app.command("up")
def up(  # noqa: PLR0917 - each is an option
    context: typer.Context,
    address: Annotated[
        str, typer.Option(help="Where to listen. Loopback, unless you say otherwise.  [default: 127.0.0.1]")
    ] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The one HTTPS port; 0 takes a free one.  [default: 8443]")
    ] = None,
    name: Annotated[
        str, typer.Option(callback=check_profile_name, help="Write the profile under this name too.")
    ] = LOCAL,
    wait: Annotated[float, typer.Option(min=0.1, help="Seconds to wait until it is ready.")] = 30.0,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Let other machines join, at --address or the one found.")
    ] = False,
    standby: Annotated[
        bool, typer.Option("--standby", help="While another core leads the same database, wait, and take over from it.")
    ] = False,
) -> None:
    """Start the platform on this machine, in the background.

    It goes on after you log out. Started twice, it says that it runs and changes nothing.
    With --cluster it is the first of several machines: it listens at an address that the others reach it by.
    With --standby it is one of several cores on one PostgreSQL, of which one leads.

    \b
    Example:
      lepton up
      lepton up --port 9000 --name my_lepton_instance
      lepton up --cluster --address 10.0.0.1
      lepton up --standby
    """
    session, home = session_of(context), default_home()
    started_at = time.monotonic()
    settings = _settings(address, port) | (_cluster_settings(address) if cluster else {})
    settings |= {"LEPTON_STANDBY": "true"} if standby else {}
    seconds = max(wait, CLUSTER_SECONDS) if cluster else wait
    done = bring_up(session, home, Wish(settings, tuple(dict.fromkeys((LOCAL, name))), seconds))
    if done.was_running and settings:
        notice("What was asked for is not applied, since it already runs. To change it: lepton down, then lepton up.")
    state = "already running" if done.was_running else "ready"
    _say_ready(session, done.core, state, time.monotonic() - started_at)
    if cluster and not session.is_json:
        typer.echo("More machines: lepton node token, and on each: lepton join URL --token TOKEN")


def _settings(address: str, port: int | None) -> dict[str, str]:
    """Return only what was asked for, so that `config.toml` and the environment decide the rest."""
    asked = {"LEPTON_ADDRESS": address} if address else {}
    return asked if port is None else asked | {"LEPTON_PORT": str(port)}


def _cluster_settings(address: str) -> dict[str, str]:
    """Return where the cluster is; the core listens there too, unless it shall listen everywhere."""
    from lepton_ai.backends.ray_cluster.addresses import own_address
    from lepton_ai.backends.ray_cluster.process import check_installed

    check_installed()
    is_everywhere = address in {"0.0.0.0", "::"}
    found = own_address("" if is_everywhere else address)
    listening = {} if is_everywhere else {"LEPTON_ADDRESS": found}
    return {"LEPTON_CLUSTER_ADDRESS": found, **listening}


def _say_ready(session: Session, core: RunningCore, state: str, seconds: float) -> None:
    if session.is_json:
        told = {"pid": core.pid, "state": state} | ({"leader": core.leader} if core.leader else {})
        print_json({"url": core.url, "version": core.version, "core": told})
        return
    if core.leader:
        typer.echo(f"Lepton AI {core.version} stands by at {core.url} (process {core.pid}); {core.leader} leads.")
        typer.echo(f"Clients that know both follow the leader: LEPTON_INSTANCE={core.leader},{core.url}")
        return
    took = f", after {seconds:.1f} s" if state == "ready" else ""
    typer.echo(f"Lepton AI {core.version} is {state} at {core.url} (process {core.pid}{took}).")
    typer.echo("Next: lepton run -- echo hi")
