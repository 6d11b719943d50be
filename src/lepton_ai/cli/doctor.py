"""`lepton doctor`: what is missing on this machine, and the command that mends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import typer

from lepton_ai.cli.check import Check, Verdict, broken
from lepton_ai.cli.local_profile import open_local
from lepton_ai.cli.machine_checks import machine_checks
from lepton_ai.cli.output import print_json
from lepton_ai.cli.platform_checks import platform_checks
from lepton_ai.cli.session import Session, session_of
from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.clock import SystemClock
from lepton_ai.settings import default_home, load_settings

MARKS: Mapping[Verdict, str] = {Verdict.WELL: "✓", Verdict.REMARK: "!", Verdict.BROKEN: "✗"}
COLOURS: Mapping[Verdict, str] = {Verdict.WELL: "green", Verdict.REMARK: "yellow", Verdict.BROKEN: "red"}

app = typer.Typer()


@app.command("doctor")
def doctor(context: typer.Context) -> None:
    """Check what this machine lacks, and say how to mend it.

    Exits with 1 if something is broken; a missing extra is only a remark.

    \b
    Example:
      lepton doctor
    """
    session = session_of(context)
    checks = list(_checks(session))
    if session.is_json:
        print_json([{"name": c.name, "verdict": c.verdict, "sentence": c.sentence, "mend": c.mend} for c in checks])
    else:
        _print(checks)
    if any(check.verdict is Verdict.BROKEN for check in checks):
        raise typer.Exit(1)


def _checks(session: Session) -> Iterator[Check]:
    yield from machine_checks(default_home())
    try:
        settings = load_settings()
    except InvalidInput as error:
        yield broken("Settings", error.message, error.hint)
        return
    yield from platform_checks(settings, lambda: open_local(session, settings.home).status(), SystemClock().now())


def _print(checks: list[Check]) -> None:
    for check in checks:
        mark = typer.style(MARKS[check.verdict], fg=COLOURS[check.verdict])
        typer.echo(f"{mark} {check.name}: {check.sentence}")
        if check.mend:
            typer.echo(f"    mend: {check.mend}")
