"""`lepton queue`: what waits, in the order in which it will start."""

from __future__ import annotations

import typer

from lepton_ai.cli.moment import clock_time
from lepton_ai.cli.output import print_json, print_table
from lepton_ai.cli.session import session_of

app = typer.Typer()


@app.command("queue")
def queue(context: typer.Context) -> None:
    """Show what waits, in the order in which it will start.

    \b
    Example:
      lepton queue
    """
    session = session_of(context)
    entries = list(session.connect().queue())
    if session.is_json:
        print_json(entries)
        return
    rows = (
        (str(e.rank), f"{e.owner_kind}/{e.owner_name}", f"{e.weight:g}", clock_time(e.expected_start), e.sentence)
        for e in entries
    )
    print_table(("RANK>", "OWNER", "WEIGHT>", "EXPECTED START", "WHY IT WAITS"), rows, empty="Nothing waits.")
