"""Prints results: tables for people, the API's own objects as JSON for scripts, notices on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

WIDTH = 80  # when there is no terminal to ask
_STYLES: Mapping[str, str] = {
    "succeeded": "green",
    "ready": "green",
    "running": "cyan",
    "starting": "yellow",
    "queued": "yellow",
    "stopping": "yellow",
    "failed": "red",
    "lost": "red",
    "denied": "red",
}


def print_json(value: object) -> None:
    """Print `value` on stdout as JSON. Objects of the API come out as the API sent them."""
    sys.stdout.write(json.dumps(to_plain(value), indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_json_line(value: object) -> None:
    """Print `value` as one line of JSON, for streams."""
    sys.stdout.write(json.dumps(to_plain(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def to_plain(value: object) -> object:
    """Return `value` with each model in it as what JSON knows."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): to_plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(each) for each in value]
    return value


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Print rows under `titles`, within the terminal's width; a title that ends in `>` is set flush right.

    `empty` is what is said instead on stderr when there are no rows.
    """
    from rich.table import Table

    listed = list(rows)
    if not listed:
        notice(empty)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in titles:
        shown = title.rstrip(">")
        # Folding, not cutting: a name that lost its end cannot be typed into the next command.
        table.add_column(shown, justify="right" if title != shown else "left", overflow="fold", min_width=len(shown))
    for row in listed:
        table.add_row(*map(_styled, row))
    out = console()
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print one `Label: value` a line, values aligned; empty values are left out."""
    listed = [(label, value) for label, value in fields if value]
    width = max((len(label) for label, _ in listed), default=0) + 1
    for label, value in listed:
        sys.stdout.write(f"{label + ':':<{width}} {value}\n")


def notice(text: str) -> None:
    """Tell a person something on stderr, so that stdout keeps only results."""
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def console(stream: IO[str] | None = None) -> Console:
    """Return a Rich console that is plain where there is no terminal, or where NO_COLOR is set."""
    from rich.console import Console

    file = stream or sys.stdout
    width = None if is_terminal(file) else int(os.environ.get("COLUMNS") or WIDTH)
    return Console(file=file, highlight=False, markup=False, emoji=False, width=width)


def is_terminal(stream: IO[str]) -> bool:
    """Tell whether a person reads `stream` at a terminal."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def bar(share: float, cells: int = 10) -> str:
    """Return a bar of `cells` for 0..1; a share that was not measured gives an empty string."""
    if share < 0:
        return ""
    full = round(min(share, 1.0) * cells)
    return "█" * full + "░" * (cells - full)


def percent(share: float) -> str:
    """Return 0..1 as percent; `-` for what was not measured."""
    return "-" if share < 0 else f"{share * 100:.0f}%"


def _styled(cell: str) -> Text:
    from rich.text import Text

    return Text(cell, style=_STYLES.get(cell, ""))
