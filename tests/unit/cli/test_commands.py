"""The table of commands is true: it names what is there, and only operations that exist."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest
from typer.testing import CliRunner

from lepton_ai.cli.commands import COMMANDS, GROUPS, PROJECT_NOUNS
from lepton_ai.cli.main import app
from lepton_ai.types.operation import OPERATIONS, Scope

HEAVY = ("httpx", "rich", "fastapi", "sqlalchemy", "numpy", "yaml", "psutil", "cryptography")
# Prints the heavy modules that were loaded by the time that the help was printed.
PROBE = """
import sys
from lepton_ai.cli.main import app
try:
    app(sys.argv[1:])
except SystemExit:
    pass
print(sorted({name.partition('.')[0] for name in sys.modules} & set(%r)), file=sys.stderr)
"""


def help_of(path: str) -> str:
    result = CliRunner().invoke(app, [*path.split(), "--help"])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("path", COMMANDS)
def test_the_table_holds_the_first_line_of_the_commands_own_docstring(path: str) -> None:
    module, _, function = COMMANDS[path].target.partition(":")
    command = getattr(import_module(f"lepton_ai.cli.{module}"), function)
    assert inspect.getdoc(command).partition("\n")[0] == COMMANDS[path].help  # type: ignore[union-attr]


@pytest.mark.parametrize("path", COMMANDS)
def test_the_help_of_every_command_has_an_example_that_calls_it(path: str) -> None:
    example = help_of(path).partition("Example:")[2].partition("Options:")[0]
    assert f"lepton {path}" in example


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_can_print_json(path: str) -> None:
    assert "--output" in help_of(path)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_names_operations_that_the_api_knows(path: str) -> None:
    assert not [operation for operation in COMMANDS[path].operations if operation not in OPERATIONS]


@pytest.mark.parametrize("operation", sorted({one for row in COMMANDS.values() for one in row.operations}))
def test_a_command_takes_a_project_where_its_operations_are_done_in_one(operation: str) -> None:
    is_in_project = OPERATIONS[operation].scope is Scope.PROJECT
    assert (operation.partition(".")[0] in PROJECT_NOUNS) == is_in_project


def test_every_noun_has_help_and_every_help_has_a_noun() -> None:
    assert set(GROUPS) == {path.partition(" ")[0] for path in COMMANDS if " " in path}


def test_the_help_lists_every_command_with_its_line() -> None:
    shown = " ".join(help_of("").split())
    expected = [row.help for path, row in COMMANDS.items() if " " not in path] + list(GROUPS.values())
    assert not [line for line in expected if line not in shown]


@pytest.mark.parametrize("noun", GROUPS)
def test_the_help_of_a_noun_lists_its_commands(noun: str) -> None:
    shown = " ".join(help_of(noun).split())
    assert not [row.help for path, row in COMMANDS.items() if path.startswith(f"{noun} ") and row.help not in shown]


@pytest.mark.parametrize("words", ["run --help", "job --help", "job list --help", "endpoint create --help"])
def test_help_of_a_command_imports_nothing_heavy(words: str) -> None:
    assert loaded_by(words, HEAVY) == "[]"


def test_the_first_help_imports_not_even_pydantic() -> None:
    # Typer itself reads numbers with pydantic, so the help of a command with a number in it cannot do without.
    assert loaded_by("--help", (*HEAVY, "pydantic")) == "[]"


def loaded_by(words: str, heavy: tuple[str, ...]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROBE % (heavy,), *words.split()], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Usage: " in done.stdout
    return done.stderr.strip()
