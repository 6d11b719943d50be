"""`lepton endpoint`: served apps and models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli.moment import age, clock_time
from lepton_ai.cli.output import print_fields, print_json, print_table
from lepton_ai.cli.session import session_of

if TYPE_CHECKING:
    from lepton_ai.sdk.endpoint_handle import EndpointHandle

EndpointName = Annotated[str, typer.Argument(metavar="NAME", help="The endpoint's name or id.", show_default=False)]

app = typer.Typer()


@app.command("list")
def list_endpoints(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
) -> None:
    """List endpoints, newest first.

    \b
    Example:
      lepton endpoint list
    """
    session = session_of(context)
    handles = list(session.connect().endpoints.list(limit=limit))
    if session.is_json:
        print_json([handle.object for handle in handles])
        return
    titles = ("NAME", "STATE", "READY>", "AGE>", "URL")
    print_table(titles, map(_row, handles), empty="There are no endpoints. Serve one: lepton endpoint create --help")


@app.command("get")
def get_endpoint(context: typer.Context, name: EndpointName) -> None:
    """Show one endpoint.

    \b
    Example:
      lepton endpoint get digits
    """
    session = session_of(context)
    handle = session.connect().endpoints.get(name)
    if session.is_json:
        print_json(handle.object)
        return
    print_fields(_fields(handle))


@app.command("scale")
def scale_endpoint(
    context: typer.Context,
    name: EndpointName,
    replicas: Annotated[
        int, typer.Argument(min=0, help="How many; 0 sleeps until the next request.", show_default=False)
    ],
) -> None:
    """Set how many replicas an endpoint has.

    \b
    Example:
      lepton endpoint scale digits 3
    """
    session = session_of(context)
    handle = session.connect().endpoints.scale(name, replicas)
    if session.is_json:
        print_json(handle.object)
        return
    amount = f"{replicas} replica" + ("s" if replicas != 1 else "")
    typer.echo(f"Endpoint {handle.name} is to have {amount}. See: lepton endpoint get {handle.name}")


@app.command("delete")
def delete_endpoint(context: typer.Context, name: EndpointName) -> None:
    """Delete an endpoint and stop its replicas.

    Requests under way may end first.

    \b
    Example:
      lepton endpoint delete digits
    """
    session = session_of(context)
    deleted = session.connect().endpoints.collection.delete(name)
    if session.is_json:
        print_json(deleted)
        return
    typer.echo(f"Endpoint {name} is being deleted.")


def _row(handle: EndpointHandle) -> tuple[str, ...]:
    status = handle.status
    ready = f"{status.ready_replicas}/{status.wanted_replicas}"
    return (handle.name, str(status.state), ready, age(handle.object.metadata.created_at), handle.url)


def _fields(handle: EndpointHandle) -> list[tuple[str, str]]:
    spec, status = handle.spec, handle.status
    fields = [
        ("Name", handle.name),
        ("Id", handle.id),
        ("Project", handle.project),
        ("State", str(status.state)),
        ("Why", str(status.reason)),
        ("URL", handle.url),
        ("Serves", spec.app or spec.model or " ".join(spec.command)),
        ("Replicas", f"{status.ready_replicas} ready of {status.wanted_replicas}"),
        ("Up to date", f"{status.updated_replicas} of {status.wanted_replicas}"),
        ("Sleeps after", f"{spec.idle_timeout.total_seconds():g} s without a request" if spec.idle_timeout else ""),
        ("Created", clock_time(handle.object.metadata.created_at)),
        ("Last request", clock_time(status.last_request_at) if status.last_request_at else ""),
    ]
    for replica in status.replicas:
        ended = f", {replica.exit.sentence or replica.exit.kind}" if replica.exit else ""
        fields.append(("Replica", f"on {replica.node}: {replica.state}{ended}"))
    return fields
