"""House rules on what code may do: who tells the time, what is typed Any, and how a test is written."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.tidy.source import Function, Source, Violation

CLOCK = "src/lepton_ai/kernel/clock.py"
KERNEL = "src/lepton_ai/kernel/"
_TIME_TELLERS = frozenset(
    {
        ("datetime", "now"),
        ("datetime", "utcnow"),
        ("datetime", "today"),
        ("date", "today"),
        ("time", "time"),
        ("time", "time_ns"),
    }
)


def one_clock(source: Source) -> Iterator[Violation]:
    """Only the clock tells the time, so that the simulation can turn it."""
    if source.path == CLOCK:
        return
    advice = f"only {CLOCK} tells the time: take `now` as an argument, or be given a Clock"
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and (_last_name(node.value), node.attr) in _TIME_TELLERS:
            yield Violation(source.path, node.lineno, advice)
        if isinstance(node, ast.ImportFrom) and {"time.time", "time.time_ns"} & _imported(node):
            yield Violation(source.path, node.lineno, advice)


def no_any_in_kernel(source: Source) -> Iterator[Violation]:
    """What the kernel takes and gives has a type."""
    if not source.path.startswith(KERNEL):
        return
    for function in source.functions:
        if not function.name.startswith("_") and any(_is_any(a) for a in _annotations(function)):
            advice = f"{function.name} takes or returns Any: name the type, or use object or a type variable"
            yield Violation(source.path, function.lineno, advice)


def no_branches_in_tests(source: Source) -> Iterator[Violation]:
    """A test does the same each time that it runs. A choice between two values may stand in data or in a fake."""
    for function in _tests(source):
        for node in ast.walk(function):
            if isinstance(node, ast.If | ast.Match):
                advice = f"{function.name} branches: write one test for each case, or parametrize it"
                yield Violation(source.path, node.lineno, advice)


def no_patching(source: Source) -> Iterator[Violation]:
    """A test uses a fake of the outside, and our own code as it is."""
    advice = "do not patch our own code: pass a fake through the parameter that the code has for it"
    for node in source.nodes:
        imported = _imported(node)
        if source.is_test and {"unittest.mock", "mock"} & imported:
            yield Violation(source.path, getattr(node, "lineno", 1), advice)
        if source.is_test and isinstance(node, ast.Call) and _patches_own_code(node):
            yield Violation(source.path, node.lineno, advice)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _annotations(function: Function) -> Iterator[ast.expr]:
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    yield from (argument.annotation for argument in every if argument.annotation)
    if function.returns:
        yield function.returns


def _is_any(annotation: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Name | ast.Attribute) and _last_name(node) == "Any" for node in ast.walk(annotation)
    )


def _tests(source: Source) -> Iterator[Function]:
    return (function for function in source.functions if source.is_test and function.name.startswith("test_"))


def _imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return set()


def _patches_own_code(call: ast.Call) -> bool:
    """Tell whether this is setattr("lepton_ai.x", ...), as pytest's monkeypatch takes it."""
    target = call.args[0] if call.args else None
    return (
        _last_name(call.func) in {"setattr", "patch"}
        and isinstance(target, ast.Constant)
        and str(target.value).startswith("lepton_ai")
    )
