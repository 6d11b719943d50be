"""`lepton down`: ends the platform on this machine, with or without what runs on it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from lepton_ai.cli.bring_up import Wish, bring_up
from lepton_ai.cli.core_process import RunningCore, find_core, is_held, wait_for_end
from lepton_ai.cli.local_profile import open_local
from lepton_ai.cli.output import notice, print_json
from lepton_ai.cli.session import Session, session_of
from lepton_ai.errors import LeptonError, TimedOut, Unavailable
from lepton_ai.settings import default_home

END_SECONDS = 10.0  # a core that is told to end closes its store and goes; it waits for nobody

DATA_PLANE_FOLDER = "haproxy"
RUNTIME_FOLDER = "runtime"

app = typer.Typer()


@app.command("down")
def down(
    context: typer.Context,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Leave jobs and endpoints running; the next `lepton up` adopts them.")
    ] = False,
    wait: Annotated[float, typer.Option(min=0.1, help="Seconds that jobs and endpoints have to stop.")] = 60.0,
) -> None:
    """Stop the platform on this machine.

    Jobs and endpoints are stopped first: SIGTERM, a grace period, SIGKILL. Their records stay.

    \b
    Example:
      lepton down
      lepton down --keep-running
    """
    session, home = session_of(context), default_home()
    core = find_core(home)
    if core is None and is_held(home):
        raise Unavailable(f"A core is just starting on {home}.", hint="Try again when it is ready: lepton status")
    if core is None and not keep_running and _has_left_overs(home):
        notice("The core is gone but what it ran is not: starting it once more, to stop that.")
        core = bring_up(session, home, Wish({"LEPTON_PORT": "0"})).core  # 0: that of before, or a free one
    if core is None:
        _say(session, None, "Lepton AI is not running.")
        return
    if keep_running:
        _end(core)
        _say(session, core, "Lepton AI is stopped. Jobs and endpoints run on; take them over again with: lepton up")
        return
    _stop_all(session, home, core, wait)
    _say(session, core, "Lepton AI is stopped.")


def _stop_all(session: Session, home: Path, core: RunningCore, wait: float) -> None:
    """Let the core stop what runs and end itself; a core that does not do as it is told is ended."""
    try:
        open_local(session, home).shutdown(stop_replicas=True)
    except LeptonError as error:
        notice(f"The core did not take the request: {error.message}")
        notice("Ending it; jobs and endpoints run on until the next `lepton up` and `lepton down`.")
        _end(core)
        return
    if not wait_for_end(core.pid, wait):
        notice(f"Not everything stopped within {wait:g} s; ending the core.")
        _end(core)


def _has_left_overs(home: Path) -> bool:
    """Tell whether the data plane or a replica lives on without a core: after `--keep-running` or a kill."""
    from lepton_ai.backends.haproxy.place import Place
    from lepton_ai.backends.haproxy.process import HaproxyProcess
    from lepton_ai.backends.local_runtime.liveness import has_left_overs

    is_serving = HaproxyProcess(Place(home / DATA_PLANE_FOLDER, home)).pid() is not None
    return is_serving or has_left_overs(home / RUNTIME_FOLDER)


def _end(core: RunningCore) -> None:
    """Ask the process itself, which needs no token."""
    try:
        os.kill(core.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise Unavailable(
            f"The core (process {core.pid}) belongs to another user.", hint="Run this as that user."
        ) from error
    if not wait_for_end(core.pid, END_SECONDS):
        raise TimedOut(
            f"The core (process {core.pid}) did not end within {END_SECONDS:g} s of SIGTERM.",
            hint=f"End it by force; no work is lost: kill -9 {core.pid}",
        )


def _say(session: Session, core: RunningCore | None, text: str) -> None:
    if session.is_json:
        print_json({"state": "stopped", "core": {"pid": core.pid} if core else None})
        return
    typer.echo(text)
