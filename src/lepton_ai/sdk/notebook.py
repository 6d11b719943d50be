"""How objects draw themselves in a notebook: small tables and bars. Whatever comes from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_CELL = "text-align:left;padding:2px 10px 2px 0;vertical-align:top"
_TRACK = "display:inline-block;width:90px;height:9px;background:#8883;border-radius:2px;margin-right:6px"
_FILL = "display:block;height:9px;background:#2f81f7;border-radius:2px"


@dataclass(frozen=True, slots=True)
class Bar:
    """A share of 0..1, drawn as a bar; negative is "not measured"."""

    share: float


Cell = str | Bar


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], caption: str = "") -> str:
    """Return an HTML table."""
    head = "".join(f'<th style="{_CELL}">{escape(text)}</th>' for text in headings)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def card(title: str, facts: Iterable[tuple[str, str]]) -> str:
    """Return one object as a heading and a table of its facts, without those that are empty."""
    rows = "".join(
        f'<tr><th style="{_CELL}">{escape(name)}</th><td style="{_CELL}">{escape(text)}</td></tr>'
        for name, text in facts
        if text
    )
    return f"<div><b>{escape(title)}</b><table>{rows}</table></div>"


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return f'<td style="{_CELL}">{escape(cell)}</td>'
    if not cell.share >= 0:  # NaN too.
        return f'<td style="{_CELL}">not measured</td>'
    percent = min(100.0, 100.0 * cell.share)
    bar = f'<span style="{_TRACK}"><span style="{_FILL};width:{percent:.0f}%"></span></span>'
    return f'<td style="{_CELL}">{bar}{percent:.0f}%</td>'
