"""`lepton endpoint create` and `update`: what is served, and the wait until it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli import options
from lepton_ai.cli.curl import curl_line
from lepton_ai.cli.output import notice, print_json
from lepton_ai.cli.session import Session, session_of
from lepton_ai.cli.upload import upload_workdir
from lepton_ai.cli.waiting import Waiting

if TYPE_CHECKING:
    from lepton_ai.sdk.client import LeptonAI
    from lepton_ai.sdk.endpoint_handle import EndpointHandle
    from lepton_ai.sdk.endpoints import EndpointOptions
    from lepton_ai.types.endpoint import Endpoint

SETTLED = frozenset({"ready", "asleep", "failed"})

Name = Annotated[str, typer.Argument(metavar="NAME", help="The endpoint's name.", show_default=False)]
Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="COMMAND", help="An HTTP server that listens on $PORT.", show_default=False),
]
App = Annotated[
    str, typer.Option("--app", metavar="MODULE:CLASS", help="A Python class with handlers.", show_default=False)
]
Model = Annotated[str, typer.Option(metavar="FILE", help="An ONNX model.", show_default=False)]
Port = Annotated[int, typer.Option(min=0, max=65535, help="If the command listens on a fixed port; 0: on $PORT.")]
Replicas = Annotated[int, typer.Option(min=0, max=1000, help="How many; 0 starts asleep.")]
Idle = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Sleep after so long without a request; the next one wakes it.")
]
Wait = Annotated[bool, typer.Option(help="Return only when it answers.")]

app = typer.Typer()


@app.command("create")
def create_endpoint(
    context: typer.Context,
    *,
    name: Name,
    command: Command = None,
    app_: App = "",
    model: Model = "",
    port: Port = 0,
    replicas: Replicas = 1,
    idle_timeout: Idle = None,
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
    wait: Wait = True,
) -> None:
    """Serve a command, an app or a model.

    Give one of: a command after --, --app, --model.

    \b
    Example:
      lepton endpoint create digits --model digits.onnx --idle-timeout 10m
      lepton endpoint create hello --app app:Hello --replicas 2
      lepton endpoint create files -- sh -c 'python -m http.server $PORT'
    """
    if sum(map(bool, (command, app_, model))) != 1:
        raise typer.BadParameter("give exactly one of: a command after --, --app and --model.")
    session = session_of(context)
    client = session.connect()
    program = options.program_of(env, secret, requirement, requirements)
    wanted: EndpointOptions = {
        "env": program["env"],
        "secrets": program["secrets"],
        "requirements": program["requirements"],
        "port": port,
        "replicas": replicas,
        "idle_timeout": idle_timeout,
        "resources": options.resources_of(cpu, memory, gpu, accelerator, where),
        # A model without a folder travels alone; the SDK sends it.
        "bundle": "" if model and not workdir else upload_workdir(client, workdir),
    }
    handle = client.endpoints.create(name, command=command or (), app=app_, model=model, **wanted)
    _show(session, client, handle, wait=wait)


@app.command("update")
def update_endpoint(
    context: typer.Context,
    *,
    name: Name,
    command: Command = None,
    app_: App = "",
    replicas: Annotated[int | None, typer.Option(min=0, max=1000, help="How many.")] = None,
    idle_timeout: Idle = None,
    cpu: options.Cpu = None,
    memory: options.Memory = None,
    where: options.Where = None,
    env: options.Env = None,
    secret: options.Secret = None,
    requirement: options.Requirement = None,
    requirements: options.Requirements = None,
    workdir: options.Workdir = "",
) -> None:
    """Change what an endpoint runs, one replica after another.

    Only what is named changes; --workdir sends the folder anew. No request is lost meanwhile.

    \b
    Example:
      lepton endpoint update hello --workdir . --env LEVEL=debug
    """
    said: dict[str, object] = {
        **options.program_of(env, secret, requirement, requirements),
        "command": command,
        "app": app_,
        "replicas": replicas,
        "idle_timeout": idle_timeout,
        "resources": options.resources_of(cpu, memory, None, None, where),
    }
    changes = {field: value for field, value in said.items() if value or value == 0}
    if not changes and not workdir:
        raise typer.BadParameter("name at least one thing to change.")
    session = session_of(context)
    client = session.connect()
    if workdir:
        changes["bundle"] = upload_workdir(client, workdir)
    handle = client.endpoints.update(name, **changes)
    if session.is_json:
        print_json(handle.object)
        return
    typer.echo(f"Endpoint {handle.name} is being updated. See how far it is: lepton endpoint get {handle.name}")


def _show(session: Session, client: LeptonAI, handle: EndpointHandle, *, wait: bool) -> None:
    if wait:
        _wait(client, handle)
    if session.is_json:
        print_json(handle.object)
        return
    typer.echo(f"Endpoint {handle.name} is {handle.state}: {handle.url}")
    notice(f"Try it: {curl_line(client.target, handle.url)}")


def _wait(client: LeptonAI, handle: EndpointHandle) -> None:
    """Return when it is up, showing why not yet; raises Unavailable if it failed."""
    from lepton_ai.sdk.wait import wait_for

    with Waiting(f"Endpoint {handle.name}") as waiting:

        def is_settled(endpoint: Endpoint) -> bool:
            state = str(endpoint.status.state)
            if state not in SETTLED:
                waiting.tell(endpoint.metadata.version, state, endpoint.status.reason.sentence)
            return state in SETTLED

        handle.object = wait_for(client.endpoints.collection, handle.object, is_settled)
    handle.wait_ready()
