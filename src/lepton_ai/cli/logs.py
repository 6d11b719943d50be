"""`lepton logs`, `lepton job logs` and `lepton endpoint logs`: what replicas printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli.log_print import LogForm, print_log
from lepton_ai.cli.session import Session, session_of
from lepton_ai.errors import NotFound

if TYPE_CHECKING:
    from lepton_ai.sdk.endpoint_handle import EndpointHandle
    from lepton_ai.sdk.job_handle import JobHandle

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name or id.", show_default=False)]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends, across restarts of the core.")]
Rank = Annotated[int, typer.Option(min=-1, help="Only this rank of a gang; -1 for all.")]
Tail = Annotated[int, typer.Option("--tail-bytes", min=0, help="Only so many of the newest bytes; 0 for all.")]

app = typer.Typer()


@app.command("logs")
def logs(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A job; the newest without.", show_default=False)] = "",
    follow: Follow = False,
    rank: Rank = -1,
    tail_bytes: Tail = 0,
) -> None:
    """Print the log of a job: the newest, if none is named.

    \b
    Example:
      lepton logs --follow
      lepton logs train-digits --rank 0
    """
    session = session_of(context)
    jobs = session.connect().jobs
    if name:
        handle = jobs.get(name)
    else:
        newest = jobs.list(limit=1)
        if not newest:
            raise NotFound("There are no jobs yet.", hint="Run one: lepton run -- echo hi")
        handle = newest[0]
    _print_job(session, handle, follow=follow, rank=rank, tail_bytes=tail_bytes)


@app.command("job-logs")
def job_logs(context: typer.Context, name: Name, follow: Follow = False, rank: Rank = -1, tail_bytes: Tail = 0) -> None:
    """Print the log of a job.

    \b
    Example:
      lepton job logs train-digits --follow
    """
    session = session_of(context)
    _print_job(session, session.connect().jobs.get(name), follow=follow, rank=rank, tail_bytes=tail_bytes)


@app.command("endpoint-logs")
def endpoint_logs(context: typer.Context, name: Name, follow: Follow = False, tail_bytes: Tail = 0) -> None:
    """Print the log of an endpoint.

    Each line is marked with the number of its replica.

    \b
    Example:
      lepton endpoint logs digits --follow
    """
    session = session_of(context)
    handle: EndpointHandle = session.connect().endpoints.get(name)
    form = LogForm(has_attempts=True, is_json=session.is_json)
    print_log(handle.logs(follow=follow, tail_bytes=tail_bytes), form)


def _print_job(session: Session, handle: JobHandle, *, follow: bool, rank: int, tail_bytes: int) -> None:
    form = LogForm(
        has_ranks=handle.spec.replicas > 1 and rank < 0, has_indexes=handle.spec.array > 0, is_json=session.is_json
    )
    print_log(handle.logs(follow=follow, rank=rank, tail_bytes=tail_bytes), form)
