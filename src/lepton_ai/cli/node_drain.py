"""`lepton node drain`: has what runs on a machine leave it, and shows how far that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli.node import NodeName
from lepton_ai.cli.output import notice, print_json
from lepton_ai.cli.session import session_of

if TYPE_CHECKING:
    from lepton_ai.sdk.client import LeptonAI
    from lepton_ai.types.node import Node

INTERRUPTED = 130  # 128 + SIGINT, as a shell has it
REFUSED = 1
# After the deadline each replica has its own grace, and the nodes' answers take their way.
PATIENCE_SECONDS = 120.0

app = typer.Typer()


@app.command("drain")
def drain_node(
    context: typer.Context,
    name: NodeName,
    timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="What has not left by then is stopped; at most 30d.")
    ] = "1h",
    wait: Annotated[bool, typer.Option(help="Wait until nothing runs there.")] = True,
) -> None:
    """Have what runs on a machine leave it, and give it nothing new.

    Jobs are stopped with notice and their grace, and start elsewhere; that is no failure of theirs. A replica of an
    endpoint goes on until another one is ready elsewhere. `lepton node uncordon` takes it back.

    \b
    Example:
      lepton node drain my-machine
      lepton node drain my-machine --timeout 10m --no-wait
    """
    from lepton_ai.types.quantity import parse_duration

    try:
        seconds = parse_duration(timeout).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from error
    session = session_of(context)
    client = session.connect()
    node = client.nodes.drain(name, seconds)
    if wait:
        node = _wait(client, node, seconds)
    if session.is_json:
        print_json(node)
    else:
        typer.echo(f"Node {name}: {node.status.reason.sentence or 'it gets nothing new, and what runs there leaves.'}")
    if wait and node.status.reason.code != "drained":
        raise typer.Exit(REFUSED)


def _wait(client: LeptonAI, node: Node, seconds: float) -> Node:
    """Return the node once it is empty, is lost, or is wanted again; show what is left meanwhile."""
    from lepton_ai.cli.waiting import Waiting
    from lepton_ai.sdk.wait import wait_for

    with Waiting(f"Node {node.name}") as waiting:

        def is_over(seen: Node) -> bool:
            reason = seen.status.reason
            if reason.code == "draining":
                waiting.tell(seen.metadata.version, "draining", reason.sentence)
            return reason.code == "drained" or seen.spec.drain_by is None or str(seen.status.state) == "lost"

        try:
            return wait_for(client.nodes.collection, node, is_over, seconds + PATIENCE_SECONDS)
        except KeyboardInterrupt:
            notice(f"\nIt goes on: lepton node show {node.name}; to take it back: lepton node uncordon {node.name}")
            raise typer.Exit(INTERRUPTED) from None
