"""The parts of docs/ that are written from the code: tables of states, permissions and settings, and every command.

A page says `<!-- from the code: NAME -->`; what stands between that and the next `<!-- end -->` is made here.
`make fix` writes it, tests/test_tidy.py fails when it is stale.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path

from lepton_ai.settings import PREFIX, Settings
from lepton_ai.types.operation import OPERATIONS, Permission, Scope
from lepton_ai.types.task import ExitKind
from tests.tidy import meanings
from tests.tidy.commands import render_commands
from tests.tidy.source import ROOT

_PART = re.compile(r"(<!-- from the code: (?P<name>[^\n]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def render_page(document: str) -> str:
    """Return `document` with each marked part made anew; raises ValueError for a part that nobody makes."""
    return _PART.sub(_render_part, document)


def read_pages(root: Path = ROOT) -> Sequence[Path]:
    """Return the pages that may have such parts."""
    return tuple(sorted((root / "docs").rglob("*.md")))


def _render_part(found: re.Match[str]) -> str:
    name = found["name"]
    if name not in PARTS:
        raise ValueError(f"nothing makes the part {name!r}; known: {', '.join(PARTS)}")
    return f"{found[1]}\n{PARTS[name]()}\n\n{found[3]}"


def _states(kind: str) -> str:
    moves = meanings.STATES[kind]
    rows = (
        (f"`{state}`", meanings.of(kind, state), ", ".join(f"`{to}`" for to in type(state) if to in nexts) or "-")
        for state, nexts in moves.items()
    )
    return _table(("state", "means", "may become"), rows)


def _exits() -> str:
    rows = ((f"`{kind}`", meanings.of("exit", kind), meanings.exit_code(kind)) for kind in ExitKind)
    return _table(("end", "means", "exit code of the job"), rows)


def _permissions() -> str:
    grouped: dict[tuple[str, Permission], list[str]] = {}
    for operation, permission in OPERATIONS.items():
        noun, _, verb = operation.partition(".")
        grouped.setdefault((noun, permission), []).append(verb)
    rows = (
        (f"`{noun}`", ", ".join(sorted(verbs)), _who(permission), _audited(permission))
        for (noun, permission), verbs in grouped.items()
    )
    return _table(("on", "operations", "least role", "in the audit trail"), rows)


_WHERE: Mapping[Scope, str] = {
    Scope.PROJECT: " of the project",
    Scope.PLATFORM: " of the platform (`*`)",
    Scope.ANYWHERE: " of any project",
}


def _who(permission: Permission) -> str:
    is_itself = permission.scope is Scope.NODE
    return "the machine itself, and no role" if is_itself else f"{permission.role}{_WHERE[permission.scope]}"


def _audited(permission: Permission) -> str:
    return "always" if permission.changes else "when refused"


def _settings() -> str:
    rows = (
        (f"`{PREFIX}{field.name.upper()}`", meanings.SETTINGS[field.name], _default(field.default))
        for field in fields(Settings)
    )
    return _table(("variable", "means", "default"), rows)


def _default(value: object) -> str:
    if value is MISSING:
        return "`~/.lepton`"
    return f"`{value}`" if value != "" else "-"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


PARTS: Mapping[str, Callable[[], str]] = {
    "states of a job": lambda: _states("job"),
    "states of an endpoint": lambda: _states("endpoint"),
    "states of a bucket": lambda: _states("bucket"),
    "states of a node of a group": lambda: _states("node of a group"),
    "states of a task": lambda: _states("task"),
    "ends of a replica": _exits,
    "permissions": _permissions,
    "settings": _settings,
    "commands": render_commands,
}


def main(root: Path = ROOT) -> None:
    for page in read_pages(root):
        page.write_text(render_page(page.read_text()))


if __name__ == "__main__":
    main()
