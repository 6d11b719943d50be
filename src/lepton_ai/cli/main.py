"""The console script `lepton`: finds the command in the table, loads its module alone, and runs it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from lepton_ai.cli.commands import COMMANDS, GROUPS
from lepton_ai.cli.failure import report, unexpected, wants_traceback
from lepton_ai.cli.loading import load_command
from lepton_ai.cli.session import Session
from lepton_ai.errors import LeptonError
from lepton_ai.version import VERSION

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

HELP = """Every machine you have works as one cloud for training, inference and data.

\b
The first minute:
  lepton up                          start the platform on this machine
  lepton run -- python train.py      run a job and follow its log
  lepton endpoint create digits --model digits.onnx
                                     serve a model
  lepton resources                   see what is in use
"""


def main() -> None:
    """Run `lepton` with the arguments of this process."""
    # httpx brings a command of its own, and with it rich, click and pygments: 80 ms of each start of ours. Without the
    # module it leaves that out by itself.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    app()


class LazyGroup(TyperGroup):
    """A group that knows its commands from the table and imports one only when it is called."""

    prefix = ""

    def list_commands(self, ctx: Context) -> list[str]:
        """Return the names in the order of the table: what a newcomer needs comes first."""
        rest = (path.removeprefix(self.prefix) for path in COMMANDS if path.startswith(self.prefix))
        return list(dict.fromkeys(name.partition(" ")[0] for name in rest))

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        path = self.prefix + cmd_name
        if path in COMMANDS:
            return load_command(path, COMMANDS[path])
        if path in GROUPS:
            return _noun(path)
        # `resolve_command` looks here for names that are near to a mistyped one.
        self.commands = dict.fromkeys(self.list_commands(ctx), self)
        return None

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        names = self.list_commands(ctx)
        verbs = [(name, COMMANDS[self.prefix + name].help) for name in names if self.prefix + name in COMMANDS]
        nouns = [(name, GROUPS[self.prefix + name]) for name in names if self.prefix + name in GROUPS]
        _section(formatter, "Commands", verbs)
        _section(formatter, "Nouns, each with commands of its own", nouns)


class RootGroup(LazyGroup):
    """The one place where errors end."""

    def invoke(self, ctx: Context) -> Any:
        if ctx.obj is None:
            ctx.obj = Session()
        try:
            return super().invoke(ctx)
        except LeptonError as error:
            report(error, as_json=ctx.obj.is_json)
            raise typer.Exit(1) from error
        except BrokenPipeError:
            raise  # Typer ends quietly: whoever read our output wanted no more of it.
        except Exception as error:
            if _is_flow(error) or wants_traceback():
                raise
            report(unexpected(error), as_json=ctx.obj.is_json)
            raise typer.Exit(1) from error


app = typer.Typer(
    name="lepton",
    cls=RootGroup,
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,  # Plain help: Rich would cost 70 ms before the first line.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"lepton {VERSION}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Make Typer see a program with commands; `version` is answered before it comes here."""


def _noun(path: str) -> LazyGroup:
    group = LazyGroup(name=path, help=GROUPS[path], no_args_is_help=True, rich_markup_mode=None)
    group.prefix = f"{path} "
    return group


def _section(formatter: HelpFormatter, title: str, rows: Iterable[tuple[str, str]]) -> None:
    listed = list(rows)
    if listed:
        with formatter.section(title):
            formatter.write_dl(listed)


def _is_flow(error: Exception) -> bool:
    """Tell whether Typer itself raised this to end the command: an exit, an abort, a wrong usage."""
    return isinstance(error, typer.Exit | typer.Abort) or type(error).__module__.startswith("typer.")


if __name__ == "__main__":
    main()
