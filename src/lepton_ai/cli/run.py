"""`lepton run`: a command as a job, its log on this terminal, its exit code as ours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli import options
from lepton_ai.cli.follow import follow_to_end
from lepton_ai.cli.output import print_json
from lepton_ai.cli.session import Session, session_of
from lepton_ai.cli.upload import upload_workdir

if TYPE_CHECKING:
    from lepton_ai.sdk.task_request import JobOptions, TaskRequest

Command = Annotated[list[str], typer.Argument(metavar="COMMAND", help="What to run, word by word.", show_default=False)]
Name = Annotated[str, typer.Option(help="The job's name; one is made up without.", show_default=False)]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Print the name at once, do not follow.")]
Replicas = Annotated[int, typer.Option(min=1, help="A gang of so many, which start together.")]
Nodes = Annotated[int, typer.Option(min=0, help="A gang over exactly so many nodes; 0: wherever there is room.")]
PerNode = Annotated[
    int, typer.Option(min=0, help="With --nodes: replicas on each of them.  [default: 1]", show_default=False)
]
Array = Annotated[int, typer.Option(min=0, help="So many independent tasks; 0 for none.")]
Priority = Annotated[int, typer.Option(min=0, max=100, help="0 to 100; more goes first.")]
Timeout = Annotated[str | None, typer.Option(metavar="DURATION", help="End it after 90, 30m or 1h30m.")]
After = Annotated[list[str] | None, typer.Option(metavar="JOB", help="Wait for that job. Repeatable.")]
Retries = Annotated[int, typer.Option(min=0, max=100, help="Tries after a bad exit code.")]
Expected = Annotated[str | None, typer.Option(metavar="DURATION", help="How long it should take, if you know.")]
Preemptible = Annotated[
    str | None, typer.Option(metavar="anew|DURATION", help="It may be stopped for others; begins anew, or so resumes.")
]
Checkpoint = Annotated[
    str | None,
    typer.Option(metavar="FOLDER", help="Keep what is completed in that folder; go on from the last after a stop."),
]
CheckpointMarker = Annotated[
    str | None, typer.Option(metavar="FILE", help="Comes last in each version that is written in place.")
]
Grace = Annotated[str | None, typer.Option(metavar="DURATION", help="From SIGTERM to SIGKILL; 10s by default.")]
MaxCost = Annotated[float | None, typer.Option(min=0, help="What all its attempts may cost, at the nodes' prices.")]
Due = Annotated[
    str | None, typer.Option(metavar="DURATION|MOMENT", help="By when it should have ended: 2h, 2026-05-01T18:00Z.")
]

app = typer.Typer()


@app.command("run", context_settings={"allow_interspersed_args": False})
def run(
    context: typer.Context,
    *,
    command: Command,
    name: Name = "",
    detach: Detach = False,
    replicas: Replicas = 1,
    nodes: Nodes = 0,
    replicas_per_node: PerNode = 0,
    array: Array = 0,
    cpu: options.Cpu = None,
    memory: options.Memory = None,
    gpu: options.Gpu = None,
    accelerator: options.Accelerator = None,
    where: options.Where = None,
    env: options.Env = None,
    secret: options.Secret = None,
    requirement: options.Requirement = None,
    requirements: options.Requirements = None,
    workdir: options.Workdir = "",
    priority: Priority = 50,
    timeout: Timeout = None,
    after: After = None,
    retries: Retries = 0,
    expected_duration: Expected = None,
    preemptible: Preemptible = None,
    checkpoint: Checkpoint = None,
    checkpoint_marker: CheckpointMarker = None,
    grace: Grace = None,
    max_cost: MaxCost = None,
    due: Due = None,
) -> None:
    """Run a command as a job, follow its log, exit with its code.

    The present folder travels along, except what .gitignore names. Ctrl-C stops the job. With --output json the log
    goes to stderr and the job, as it ended, to stdout.

    \b
    Example:
      lepton run -- python train.py --epochs 5
      lepton run --nodes 2 --replicas-per-node 4 --gpu 1 -- python train.py
      lepton run --detach --gpu 24GB..80GB:1 --name train -- python train.py
    """
    from lepton_ai.sdk.task_request import TaskRequest  # Late, for the sake of `lepton run --help`.

    wanted: JobOptions = {
        "name": name, "replicas": replicas, "nodes": nodes, "replicas_per_node": replicas_per_node, "array": array,
        "priority": priority, "after": after or [],
        "resources": options.resources_of(cpu, memory, gpu, accelerator, where),
        "timeout": timeout, "retries": retries or None,
        "checkpoint": _policy(checkpoint, checkpoint_marker), "grace": grace,
        "expected_duration": expected_duration, "preemptible": _terms(preemptible), "max_cost": max_cost, "due": due,
    }  # fmt: skip
    program = options.program_of(env, secret, requirement, requirements)
    _run(session_of(context), replace(TaskRequest(command, **wanted), **program), workdir, detach=detach)


def _terms(preemptible: str | None) -> dict[str, object] | None:
    """Return how it may be preempted: `anew`, or it resumes from a checkpoint of its own, which takes so long."""
    if preemptible is None:
        return None
    if preemptible == "anew":
        return {}
    from lepton_ai.types.quantity import parse_duration  # Late, for the sake of `lepton run --help`.

    try:
        return {"resumes": True, "restart": parse_duration(preemptible)}
    except ValueError:
        told = f"{preemptible!r} is neither 'anew' nor how long it takes to resume, such as 2m."
        raise typer.BadParameter(told, param_hint="--preemptible") from None


def _policy(folder: str | None, marker: str | None) -> dict[str, object] | None:
    """Return how checkpoints are kept."""
    if folder is None and marker is not None:
        raise typer.BadParameter("--checkpoint must name the folder.", param_hint="--checkpoint-marker")
    return None if folder is None else {"folder": folder, "marker": marker or ""}


def _run(session: Session, request: TaskRequest, workdir: str, *, detach: bool) -> None:
    from lepton_ai.sdk.task_request import prepare

    prepare(request)  # A wrong request should not cost an upload.
    client = session.connect()
    handle = client.jobs.submit(replace(request, bundle=upload_workdir(client, workdir)))
    if not detach:
        raise typer.Exit(follow_to_end(session, client, handle))
    if session.is_json:
        print_json(handle.object)
        return
    typer.echo(handle.name)
