"""`lepton audit`: who changed what, and what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli.moment import clock_time
from lepton_ai.cli.output import print_json, print_table
from lepton_ai.cli.session import session_of

if TYPE_CHECKING:
    from lepton_ai.types.event import AuditRecord

app = typer.Typer()


@app.command("list")
def list_audit(
    context: typer.Context,
    after: Annotated[int, typer.Option(min=0, help="Only records after this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
) -> None:
    """List audit records, oldest first.

    \b
    Example:
      lepton audit list --after 1200
    """
    session = session_of(context)
    records = list(session.connect().audit(after=after, limit=limit))
    if session.is_json:
        print_json(records)
        return
    titles = ("#>", "TIME", "ACTOR", "OPERATION", "OBJECT", "OUTCOME")
    print_table(titles, map(_row, records), empty="There are no records.")


def _row(record: AuditRecord) -> tuple[str, ...]:
    target = "/".join(filter(None, (record.project, record.object_kind, record.object_name)))
    return (str(record.seq), clock_time(record.at), record.actor, record.operation, target or "-", str(record.outcome))
