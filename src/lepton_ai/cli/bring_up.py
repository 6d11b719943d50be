"""Brings the core of this machine up, or finds that it is: start, wait, write the profiles."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lepton_ai.cli.core_process import POLL_SECONDS, RunningCore, StartingCore, find_core, is_held, start_core
from lepton_ai.cli.local_profile import LOCAL, open_local, write_local_profile
from lepton_ai.cli.session import Session
from lepton_ai.errors import LeptonError, TimedOut, Unavailable


@dataclass(frozen=True, slots=True)
class Wish:
    """How the core shall start: LEPTON_ variables, the profiles to write, and how long it may take."""

    settings: Mapping[str, str]
    profiles: Iterable[str] = (LOCAL,)
    seconds_max: float = 30.0


@dataclass(frozen=True, slots=True)
class BroughtUp:
    """The core, and whether it ran before."""

    core: RunningCore
    was_running: bool


def bring_up(session: Session, home: Path, wish: Wish) -> BroughtUp:
    """Return when the core answers; raises what the core itself said if it did not start, and TimedOut."""
    deadline = time.monotonic() + wish.seconds_max
    found = find_core(home)
    starting = None if found is not None or is_held(home) else start_core(home, wish.settings)
    try:
        core = found or _wait_until_ready(home, starting, deadline)
        for name in wish.profiles:
            write_local_profile(home, name, ",".join(filter(None, (core.url, core.leader))))
        _wait_until_it_answers(session, home, starting, deadline)
    except TimedOut:
        if starting is not None:
            starting.end()
        raise
    return BroughtUp(core, was_running=found is not None)


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


def _wait_until_it_answers(session: Session, home: Path, starting: StartingCore | None, deadline: float) -> None:
    """Wait for an answer of any kind: even a refusal shows that it is there."""
    while True:
        try:
            open_local(session, home).status()
            return
        except Unavailable as error:
            if starting is not None and starting.has_ended():
                raise starting.failure() from error
            if time.monotonic() > deadline:
                raise TimedOut(f"The core runs but does not answer: {error.message}", hint=error.hint) from error
            time.sleep(POLL_SECONDS)
        except LeptonError:
            return
