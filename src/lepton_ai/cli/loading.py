"""Loads one command of the table, and gives it the options that all commands share."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
from typer.main import get_command

from lepton_ai.cli.session import Output, session_of

if TYPE_CHECKING:
    from typer._click import Command as ClickCommand
    from typer._click import Parameter

    from lepton_ai.cli.commands import Command


def load_command(path: str, row: Command) -> ClickCommand:
    """Import the module of `row` and return its command, with `--output` and what else its operations call for."""
    module_name, _, function_name = row.target.partition(":")
    module = import_module(f"lepton_ai.cli.{module_name}")
    function = getattr(module, function_name)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.registered_commands += [each for each in module.app.registered_commands if each.callback is function]
    command = get_command(single)
    command.name = path.rpartition(" ")[2]
    command.params += _shared_parameters(row)
    return command


def _shared_parameters(row: Command) -> list[Parameter]:
    wanted = (
        {"output"}
        | ({"instance"} if row.operations and not row.is_here else set())
        | ({"project"} if row.is_in_project else set())
    )
    donor = typer.Typer(add_completion=False, rich_markup_mode=None)
    donor.command()(_shared_options)
    return [each for each in get_command(donor).params if each.name in wanted]


def _set_output(context: typer.Context, value: Output) -> None:
    session_of(context).output = value


def _set_instance(context: typer.Context, value: str) -> None:
    session_of(context).instance = value


def _set_project(context: typer.Context, value: str) -> None:
    session_of(context).project = value


def _shared_options(
    instance: Annotated[
        str,
        typer.Option(
            callback=_set_instance,
            expose_value=False,
            show_default=False,
            metavar="NAME|URL",
            help="The platform to talk to: a profile or a URL.  [default: $LEPTON_INSTANCE, or local]",
        ),
    ] = "",
    project: Annotated[
        str,
        typer.Option(
            callback=_set_project,
            expose_value=False,
            show_default=False,
            metavar="NAME",
            help="The project.  [default: the profile's]",
        ),
    ] = "",
    output: Annotated[
        Output,
        # Eager, so that a refusal is printed in the form that was asked for.
        typer.Option("--output", "-o", callback=_set_output, expose_value=False, is_eager=True, help="Form of output."),
    ] = Output.TABLE,
) -> None:
    """Never called: its parameters are lent to every command, and their callbacks fill the session."""
