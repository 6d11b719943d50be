"""`lepton event`: what happened, to which object, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli.moment import clock_time
from lepton_ai.cli.output import print_json, print_json_line, print_table
from lepton_ai.cli.session import Session, session_of

if TYPE_CHECKING:
    from lepton_ai.types.event import Event

app = typer.Typer()


@app.command("list")
def list_events(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens next, until Ctrl-C.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of the newest.")] = 50,
) -> None:
    """List events, oldest first.

    \b
    Example:
      lepton event list
      lepton event list --follow
    """
    session = session_of(context)
    client = session.connect()
    found = list(client.events(limit=limit, newest=True))
    found.sort(key=lambda event: event.seq)
    if not follow:
        print_events(session, found)
        return
    for event in found:
        _print_line(session, event)
    for event in client.events(follow=True, after=found[-1].seq if found else 0):
        _print_line(session, event)


def print_events(session: Session, events: Iterable[Event]) -> None:
    """Print events as a table or as JSON."""
    listed = list(events)
    if session.is_json:
        print_json(listed)
        return
    rows = ((clock_time(e.at), f"{e.kind}/{e.object_name}", e.code, e.sentence) for e in listed)
    print_table(("TIME", "OBJECT", "EVENT", "WHAT HAPPENED"), rows, empty="Nothing has happened yet.")


def _print_line(session: Session, event: Event) -> None:
    if session.is_json:
        print_json_line(event)
        return
    typer.echo(f"{clock_time(event.at)}  {event.kind}/{event.object_name}  {event.sentence}")
