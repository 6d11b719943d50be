"""House rules on size: how long a file and a function may be, and how many parameters a function may take."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.tidy.source import Function, Source, Violation

FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 50
PARAMETERS_MAX = 5


def file_length(source: Source) -> Iterator[Violation]:
    """A file is read in one sitting."""
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        advice = f"{lines} lines, at most {FILE_LINES_MAX}: give each noun or verb in it a file of its own"
        yield Violation(source.path, FILE_LINES_MAX + 1, advice)


def function_length(source: Source) -> Iterator[Violation]:
    """A function is seen at one glance; of a Typer command, which lists its flags first, its body is."""
    for function in source.functions:
        first = function.body[0].lineno if _is_typer_command(source, function) else function.lineno
        lines = (function.end_lineno or first) - first + 1
        if lines > FUNCTION_LINES_MAX:
            advice = f"{function.name} has {lines} lines, at most {FUNCTION_LINES_MAX}: move leaves out, or branch less"
            yield Violation(source.path, function.lineno, advice)


def parameter_count(source: Source) -> Iterator[Violation]:
    """A call is understood without counting.

    A Typer command is exempt: its parameters are the flags of a command line, and nothing but Typer calls it.
    Dataclasses and pydantic models are not concerned, since their constructors are not written out.
    """
    for function in source.functions:
        count = len(_parameters(function))
        if count > PARAMETERS_MAX and not _is_typer_command(source, function):
            advice = (
                f"{function.name} takes {count} parameters, at most {PARAMETERS_MAX}: "
                "pass a frozen dataclass, or split the function"
            )
            yield Violation(source.path, function.lineno, advice)


def _parameters(function: Function) -> list[ast.arg]:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    if positional and positional[0].arg in {"self", "cls"}:
        positional = positional[1:]
    return [*positional, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]


def _is_typer_command(source: Source, function: Function) -> bool:
    return source.path.startswith("src/lepton_ai/cli/") and any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in {"command", "callback"}
        for decorator in function.decorator_list
    )
