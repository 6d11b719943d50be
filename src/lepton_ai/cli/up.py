"""`lepton up`: starts the core in the background and makes the next command work with no further set-up."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from lepton_ai.cli.core_process import POLL_SECONDS, RunningCore, StartingCore, find_core, is_held, start_core
from lepton_ai.cli.local_profile import LOCAL, check_profile_name, write_local_profile
from lepton_ai.cli.output import notice, print_json
from lepton_ai.cli.session import Session, session_of
from lepton_ai.errors import LeptonError, TimedOut, Unavailable
from lepton_ai.settings import default_home

app = typer.Typer()


@app.command("up")
def up(
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
) -> None:
    """Start the platform on this machine, in the background.

    It goes on after you log out. Started twice, it says that it runs and changes nothing.

    \b
    Example:
      lepton up
      lepton up --port 9000 --name my_lepton_instance
    """
    session, home = session_of(context), default_home()
    started_at = time.monotonic()
    settings = _settings(address, port)
    core = find_core(home)
    was_running = core is not None
    starting = None if was_running or is_held(home) else start_core(home, settings)
    try:
        core = core or _wait_until_ready(home, starting, started_at + wait)
        for each in dict.fromkeys((LOCAL, name)):
            write_local_profile(home, each, core.url)
        _wait_until_it_answers(session, starting, started_at + wait)
    except TimedOut:
        if starting is not None:
            starting.end()
        raise
    if was_running and settings:
        notice("What was asked for is not applied, since it already runs. To change it: lepton down, then lepton up.")
    _say_ready(session, core, "already running" if was_running else "ready", time.monotonic() - started_at)


def _settings(address: str, port: int | None) -> dict[str, str]:
    """Return only what was asked for, so that `config.toml` and the environment decide the rest."""
    asked = {"LEPTON_ADDRESS": address} if address else {}
    return asked if port is None else asked | {"LEPTON_PORT": str(port)}


def _wait_until_ready(home: Path, starting: StartingCore | None, deadline: float) -> RunningCore:
    from lepton_ai.sdk import client  # While the core starts: what we shall ask it with takes a moment to import.

    assert client
    while True:
        has_ended = starting is not None and starting.has_ended()
        core = find_core(home)
        if core is not None:
            return core
        # A core that met another one on the same folder has ended too; the other is then what we wait for.
        if starting is not None and has_ended and not is_held(home):
            raise starting.failure()
        if time.monotonic() > deadline:
            raise TimedOut("The core was not ready in time.", hint=f"See {home / 'core.log'}, or give more --wait.")
        time.sleep(POLL_SECONDS)


def _wait_until_it_answers(session: Session, starting: StartingCore | None, deadline: float) -> None:
    """Wait for an answer of any kind: even a refused token, such as a foreign LEPTON_TOKEN, shows that it is there."""
    while True:
        try:
            session.open(LOCAL, "").status()
            return
        except Unavailable as error:
            if starting is not None and starting.has_ended():
                raise starting.failure() from error
            if time.monotonic() > deadline:
                raise TimedOut(f"The core runs but does not answer: {error.message}", hint=error.hint) from error
            time.sleep(POLL_SECONDS)
        except LeptonError:
            return


def _say_ready(session: Session, core: RunningCore, state: str, seconds: float) -> None:
    if session.is_json:
        print_json({"url": core.url, "version": core.version, "core": {"pid": core.pid, "state": state}})
        return
    took = f", after {seconds:.1f} s" if state == "ready" else ""
    typer.echo(f"Lepton AI {core.version} is {state} at {core.url} (process {core.pid}{took}).")
    typer.echo("Next: lepton run -- echo hi")
