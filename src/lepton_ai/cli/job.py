"""`lepton job`: work that ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli.event import print_events
from lepton_ai.cli.moment import age, clock_time, lasted
from lepton_ai.cli.output import print_fields, print_json, print_table
from lepton_ai.cli.session import session_of

if TYPE_CHECKING:
    from lepton_ai.types.job import Job
    from lepton_ai.types.task import Replica

JobName = Annotated[str, typer.Argument(metavar="NAME", help="The job's name or id.", show_default=False)]
FINAL = frozenset({"succeeded", "failed", "stopped"})

app = typer.Typer()


@app.command("list")
def list_jobs(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
) -> None:
    """List jobs, newest first.

    \b
    Example:
      lepton job list
      lepton job list --output json
    """
    session = session_of(context)
    jobs = [handle.object for handle in session.connect().jobs.list(limit=limit)]
    if session.is_json:
        print_json(jobs)
        return
    titles = ("NAME", "STATE", "EXIT>", "TOOK>", "AGE>", "WHAT")
    print_table(titles, map(_row, jobs), empty="There are no jobs. Run one: lepton run -- echo hi")


@app.command("get")
def get_job(context: typer.Context, name: JobName) -> None:
    """Show one job.

    \b
    Example:
      lepton job get train-digits
    """
    session = session_of(context)
    job = session.connect().jobs.get(name).object
    if session.is_json:
        print_json(job)
        return
    print_fields(_fields(job))


@app.command("stop")
def stop_job(
    context: typer.Context,
    name: JobName,
    wait: Annotated[bool, typer.Option(help="Return only when it has ended.")] = False,
) -> None:
    """Stop a job: it gets SIGTERM, a grace period, then SIGKILL.

    \b
    Example:
      lepton job stop train-digits
    """
    session = session_of(context)
    handle = session.connect().jobs.stop(name)
    if wait:
        handle.wait()
    if session.is_json:
        print_json(handle.object)
        return
    state = str(handle.object.status.state) if wait else "being stopped"
    typer.echo(f"Job {handle.name} is {state}.")


@app.command("delete")
def delete_job(context: typer.Context, name: JobName) -> None:
    """Delete a job; one that still runs is stopped first.

    \b
    Example:
      lepton job delete train-digits
    """
    session = session_of(context)
    deleted = session.connect().jobs.collection.delete(name)
    if session.is_json:
        print_json(deleted)
        return
    typer.echo(f"Job {name} is being deleted.")


@app.command("events")
def job_events(context: typer.Context, name: JobName) -> None:
    """Show what happened to a job.

    \b
    Example:
      lepton job events train-digits
    """
    session = session_of(context)
    print_events(session, session.connect().jobs.get(name).events())


def what_runs(job: Job) -> str:
    """Return the command in one line, as far as a table needs it."""
    words = " ".join(" ".join(job.spec.command).split()) if job.spec.command else "a Python function"
    return words if len(words) <= 60 else words[:59] + "…"


def _row(job: Job) -> tuple[str, ...]:
    status = job.status
    exit_code = "-" if status.exit_code is None else str(status.exit_code)
    waits = str(status.state) in {"queued", "starting"}
    what = status.reason.sentence if waits and status.reason.sentence else what_runs(job)
    took = lasted(status.started_at, status.finished_at)
    return (job.name, str(status.state), exit_code, took, age(status.submitted_at or job.metadata.created_at), what)


def _fields(job: Job) -> list[tuple[str, str]]:
    from lepton_ai.types.quantity import format_bytes

    status, spec = job.status, job.spec
    ended = "" if status.exit_code is None else f"{status.exit_code} ({status.exit_kind or 'unknown'})"
    counts = status.tasks
    tasks = f"{counts.waiting} waiting, {counts.running} running, {counts.succeeded} succeeded, {counts.failed} failed"
    return [
        ("Name", job.name),
        ("Id", job.id),
        ("Project", job.project),
        ("State", str(status.state)),
        ("Why", status.reason.sentence),
        ("Command", what_runs(job)),
        ("Resources", _resources(job)),
        ("Priority", str(spec.priority)),
        ("Submitted", clock_time(status.submitted_at) if status.submitted_at else ""),
        ("Started", clock_time(status.started_at) if status.started_at else ""),
        ("Finished", clock_time(status.finished_at) if status.finished_at else ""),
        ("Took", lasted(status.started_at, status.finished_at) if status.started_at else ""),
        ("Exit code", ended),
        ("Attempt", str(status.attempt or "")),
        ("Array", tasks if spec.array else ""),
        ("Limits", status.limits),
        ("Peak memory", format_bytes(status.peak_memory_bytes) if status.peak_memory_bytes else ""),
        ("CPU time", f"{status.cpu_seconds:.1f}s" if status.cpu_seconds else ""),
        *(("Replica", _replica(replica)) for replica in status.replicas),
    ]


def _resources(job: Job) -> str:
    from lepton_ai.types.quantity import format_bytes

    wanted = job.spec.resources
    many = f"{job.spec.replicas} x" if job.spec.replicas > 1 else ""
    over = f"{job.spec.nodes} nodes with {job.spec.replicas_per_node} x" if job.spec.nodes else ""
    parts = [over or many, f"{wanted.cpu:g} CPU,"]
    parts.append(format_bytes(wanted.memory))
    if wanted.accelerator:
        asked = wanted.accelerator
        count = f"{asked.share_milli / 1000:g}" if asked.share_milli < 1000 else str(asked.count)
        parts.append(f"and {count} {asked.kind or 'accelerator'}")
    return " ".join(filter(None, parts))


def _replica(replica: Replica) -> str:
    ended = f", {replica.exit.sentence or replica.exit.kind}" if replica.exit else ""
    return f"{replica.rank} on {replica.node}: {replica.state}{ended}"
