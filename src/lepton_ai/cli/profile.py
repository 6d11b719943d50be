"""`lepton profile`: how fast a command is on each class of resource, measured by short probes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli import options
from lepton_ai.cli.output import notice, print_json, print_table
from lepton_ai.cli.session import session_of
from lepton_ai.cli.upload import upload_workdir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lepton_ai.sdk.task_request import JobOptions
    from lepton_ai.types.probe import ProbeResult
    from lepton_ai.types.resource_view import ResourceChoice

Command = Annotated[list[str], typer.Argument(metavar="COMMAND", help="What to run, word by word.", show_default=False)]
Seconds = Annotated[float, typer.Option(min=0.1, max=3600, help="How long each probe may run.")]
Replicas = Annotated[int, typer.Option(min=1, help="A gang of so many, which start together.")]

app = typer.Typer()


@app.command("profile", context_settings={"allow_interspersed_args": False})
def profile(
    context: typer.Context,
    *,
    command: Command,
    seconds: Seconds = 30.0,
    replicas: Replicas = 1,
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
) -> None:
    """Measure how fast a command is on each class of resource.

    Each probe is a job that runs for at most --seconds. A program that writes its steps into the file $LEPTON_PROGRESS
    is measured by them; one that does not, by its whole run. What is measured orders the queue from then on.

    \b
    Example:
      lepton profile --gpu 1 --seconds 30 -- python train.py
    """
    from lepton_ai.sdk.task_request import TaskRequest, prepare  # Late, for the sake of `lepton profile --help`.

    program = options.program_of(env, secret, requirement, requirements)
    resources = options.resources_of(cpu, memory, gpu, accelerator, where)
    wanted: JobOptions = {"replicas": replicas, "resources": resources}
    request = replace(TaskRequest(command, **wanted), **program)
    prepare(request)  # A wrong request should not cost an upload.
    session = session_of(context)
    client = session.connect()
    found = client.profile(replace(request, bundle=upload_workdir(client, workdir)), seconds=seconds)
    is_measured = any(probe.report.seconds_per_unit for probe in found.probes)
    if session.is_json:
        print_json(found)
    else:
        print_table(("PROBE", "CLASS", "MEASURED>", "FOUND"), map(_probe_row, found.probes), empty="")
        typer.echo()
        _show_choices(found.choices)
    if not is_measured:
        notice(f"Nothing was measured. {_next_step(found.probes)}")
        raise typer.Exit(1)


def _next_step(probes: Sequence[ProbeResult]) -> str:
    """Tell what to do after probes that measured nothing: more time is no help to a program that fails."""
    failed = next((probe.job for probe in probes if probe.report.exit_code), None)
    if failed is not None:
        return f"See why it failed: lepton logs {failed}"
    return "Give it more time (--seconds), or let it write its steps to $LEPTON_PROGRESS."


def _probe_row(probe: ProbeResult) -> tuple[str, ...]:
    report = probe.report
    per_unit = f"{report.seconds_per_unit:.4g} s/{report.unit}" if report.seconds_per_unit else "-"
    return (
        probe.job,
        probe.resource_class or "-",
        per_unit,
        report.problem or f"{report.units:g} in {report.seconds:.1f} s",
    )


def _show_choices(choices: Sequence[ResourceChoice]) -> None:
    """Print the table; with money where any of the classes has a price."""
    is_priced = any(choice.price_per_hour is not None for choice in choices)
    money = ("PRICE/H>", "COST>") if is_priced else ()
    titles = ("CLASS", "SPEED>", "WITHIN>", "FROM", "EXPECTED>", *money, "BECAUSE")
    print_table(titles, [_row(choice, is_priced=is_priced) for choice in choices], empty="")


def _row(choice: ResourceChoice, *, is_priced: bool) -> tuple[str, ...]:
    amounts = (choice.price_per_hour, choice.expected_cost)
    money = ["-" if amount is None else f"{amount:.4g}" for amount in amounts] if is_priced else []
    return (
        choice.resource_class,
        f"{choice.relative_speed:.2f}x",
        f"x{choice.speed_spread:.2f}",
        choice.speed_source,
        f"{choice.expected_seconds:.1f}s",
        *money,
        choice.speed_because or "-",
    )
