"""`lepton explain`: why a job or endpoint waits, or runs where it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli.moment import clock_time
from lepton_ai.cli.output import print_fields, print_json, print_table
from lepton_ai.cli.session import session_of

if TYPE_CHECKING:
    from lepton_ai.types.explanation import Candidate, CountedReason, Explanation

app = typer.Typer()
RULED_OUT = {"size": "too small", "device": "without the device", "label": "without the label", "cost": "too dear"}


@app.command("explain")
def explain(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ID", help="A job or endpoint, by name or id.", show_default=False)],
) -> None:
    """Say why a job or endpoint waits, or runs where it runs.

    \b
    Example:
      lepton explain train-digits
    """
    session = session_of(context)
    found = session.connect().explain(name)
    if session.is_json:
        print_json(found)
        return
    print_fields(_fields(found))
    if found.candidates:
        typer.echo()
        titles = ("CLASS", "EXPECTED>", "P80>", "FROM", "COST>", "ROOM ON>", "WHY NOT")
        print_table(titles, map(_row, found.candidates), empty="")
    for verdict in (v for candidate in found.candidates for v in candidate.best_nodes):
        typer.echo(f"Node {verdict.node}: {verdict.sentence}")


def _fields(found: Explanation) -> list[tuple[str, str]]:
    place = f"{found.rank} of {found.queue_length}" if found.rank else ""
    start = clock_time(found.expected_start) if found.expected_start else ""
    if start and found.expected_start_early and found.expected_start_late:
        start += f" (between {clock_time(found.expected_start_early)} and {clock_time(found.expected_start_late)})"
    return [
        ("Task", found.name or found.task_id),
        ("Standing", str(found.standing)),
        ("Why", str(found.reason)),
        ("Queue", place),
        ("Nodes", ", ".join(found.nodes)),
        ("Class", found.resource_class),
        ("Expected start", start),
        ("Expected end", clock_time(found.expected_end) if found.expected_end else ""),
        ("Ruled out", ", ".join(map(_ruled_out, found.excluded))),
        ("Terms", ", ".join(f"{name} {value:.6g}" for name, value in found.terms.items())),
    ]


def _ruled_out(one: CountedReason) -> str:
    return f"{one.nodes:,} node{'' if one.nodes == 1 else 's'} {RULED_OUT.get(one.lack, one.lack)}"


def _row(candidate: Candidate) -> tuple[str, ...]:
    lacks = ", ".join(f"{each.nodes} without free {each.lack}" for each in candidate.lacks)
    return (
        candidate.resource_class,
        f"{candidate.expected_seconds:.1f}s",
        f"{candidate.expected_seconds_p80:.1f}s",
        candidate.source,
        f"{candidate.cost:.3g}",
        f"{candidate.nodes_with_room}/{candidate.nodes}",
        lacks or "-",
    )
