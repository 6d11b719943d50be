"""`lepton run`: a command as a job, its log on this terminal, its exit code as ours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli import options
from lepton_ai.cli.follow import follow_to_end
from lepton_ai.cli.output import print_json
from lepton_ai.cli.session import session_of
from lepton_ai.cli.upload import upload_workdir

if TYPE_CHECKING:
    from lepton_ai.sdk.client import LeptonAI
    from lepton_ai.sdk.job_handle import JobHandle
    from lepton_ai.sdk.task_request import JobOptions, TaskRequest

app = typer.Typer()


@app.command("run", context_settings={"allow_interspersed_args": False})
def run(
    context: typer.Context,
    *,
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="What to run, word by word.", show_default=False)
    ],
    name: Annotated[str, typer.Option(help="The job's name; one is made up without.", show_default=False)] = "",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Print the name at once, do not follow.")] = False,
    replicas: Annotated[int, typer.Option(min=1, help="A gang of so many, which start together.")] = 1,
    array: Annotated[int, typer.Option(min=0, help="So many independent tasks; 0 for none.")] = 0,
    cpu: options.Cpu = None,
    memory: options.Memory = None,
    gpu: options.Gpu = None,
    accelerator: options.Accelerator = None,
    env: options.Env = None,
    secret: options.Secret = None,
    requirement: options.Requirement = None,
    requirements: options.Requirements = None,
    workdir: options.Workdir = "",
    priority: Annotated[int, typer.Option(min=0, max=100, help="0 to 100; more goes first.")] = 50,
    timeout: Annotated[str | None, typer.Option(metavar="DURATION", help="End it after 90, 30m or 1h30m.")] = None,
    after: Annotated[list[str] | None, typer.Option(metavar="JOB", help="Wait for that job. Repeatable.")] = None,
    retries: Annotated[int, typer.Option(min=0, max=100, help="Tries after a bad exit code.")] = 0,
    expected_duration: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long it should take, if you know.")
    ] = None,
) -> None:
    """Run a command as a job, follow its log, exit with its code.

    The present folder travels along (.gitignore says what stays). Ctrl-C stops the job. With --output json the log
    goes to stderr and the job as it ended to stdout.

    \b
    Example:
      lepton run -- python train.py --epochs 5
      lepton run --detach --gpu 24GB..80GB:1 --name train -- python train.py
    """
    from lepton_ai.sdk import task_request  # Late, for `lepton run --help`.

    wanted: JobOptions = {
        "name": name,
        "replicas": replicas,
        "array": array,
        "resources": options.resources_of(cpu, memory, gpu, accelerator),
        "env": options.env_of(env),
        "secrets": options.secrets_of(secret),
        "requirements": options.requirements_of(requirement, requirements),
        "priority": priority,
        "timeout": timeout,
        "after": after or [],
        "retries": retries or None,
        "expected_duration": expected_duration,
    }
    session = session_of(context)
    client = session.connect()
    handle = _submit(client, task_request.TaskRequest(command, **wanted), workdir)
    if not detach:
        raise typer.Exit(follow_to_end(session, client, handle))
    if session.is_json:
        print_json(handle.object)
        return
    typer.echo(handle.name)


def _submit(client: LeptonAI, request: TaskRequest, workdir: str) -> JobHandle:
    """Check the request first: a wrong one should not cost an upload."""
    from lepton_ai.sdk.task_request import prepare

    prepare(request)
    return client.jobs.submit(replace(request, bundle=upload_workdir(client, workdir)))
