"""Every command of `lepton` with its help, as docs/cli.md prints it."""

from __future__ import annotations

from collections.abc import Iterator

from typer.main import get_command

from lepton_ai.cli.commands import COMMANDS, GROUPS
from lepton_ai.cli.main import app

WIDTH = 100  # what the program itself uses at most


def render_commands() -> str:
    """Return a section for each noun, and in it the help of each command as the program prints it."""
    return "\n\n".join(_sections())


def _sections() -> Iterator[str]:
    yield "## Daily work"
    yield from (_command(path) for path in COMMANDS if " " not in path)
    for noun, purpose in GROUPS.items():
        yield f"## `lepton {noun}`\n\n{purpose}"
        yield from (_command(path) for path in COMMANDS if path.startswith(f"{noun} "))


def _command(path: str) -> str:
    return f"### `lepton {path}`\n\n```text\n{_help(path)}\n```"


def _help(path: str) -> str:
    command = get_command(app)
    context = command.make_context("lepton", ["--help"], resilient_parsing=True, terminal_width=WIDTH)
    for word in path.split():
        found = command.get_command(context, word)  # type: ignore[attr-defined]  # each but the last is a group
        context = found.make_context(word, [], parent=context, resilient_parsing=True, terminal_width=WIDTH)
        command = found
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
