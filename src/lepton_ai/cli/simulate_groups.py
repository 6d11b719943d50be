"""`lepton simulate` with node groups: which ones, and what they would have come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli.output import print_table
from lepton_ai.cli.session import Session
from lepton_ai.errors import InvalidInput

if TYPE_CHECKING:
    from lepton_ai.simulation.autoscale import GroupFigures, ImaginedGroup

GroupFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What if these node groups were there: YAML, as nodegroup show has it."),
]
Autoscale = Annotated[bool, typer.Option("--autoscale", help="What if the platform's node groups had come and gone.")]


def groups_of(session: Session, file: Path | None, *, autoscale: bool) -> tuple[ImaginedGroup, ...]:
    """Return the groups that the second column has; raises InvalidInput if there are none where some were named."""
    from lepton_ai.cli.yaml_documents import YAML_BYTES_MAX, parse_documents
    from lepton_ai.simulation.groups import imagined_groups, read_groups

    if file is not None and autoscale:
        raise typer.BadParameter("say either --groups FILE or --autoscale.")
    if file is not None:
        try:
            with file.open("rb") as opened:
                content = opened.read(YAML_BYTES_MAX + 1)
        except OSError as error:
            raise InvalidInput(f"{file} cannot be read: {error.strerror or error}.") from error
        return read_groups(parse_documents(content, str(file)), str(file))
    found = imagined_groups(session.connect().node_groups.each()) if autoscale else ()
    if autoscale and not found:
        raise InvalidInput("The platform has no node groups.", hint="Describe some in a file: --groups FILE")
    return found


def show_groups(groups: Sequence[GroupFigures]) -> None:
    """Print what each group would have come to."""
    if not groups:
        return
    typer.echo()
    rows = (
        (one.name, str(one.started), str(one.most), f"{one.node_hours:,.1f} h", f"{one.cost:,.2f}") for one in groups
    )
    print_table(("NODE GROUP", "STARTED>", "AT MOST>", "NODE-HOURS>", "COST>"), rows, empty="")
