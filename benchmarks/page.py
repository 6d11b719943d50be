"""docs/benchmarks.md: each benchmark's section is written anew when it has run; the rest of the page is left alone."""

from __future__ import annotations

import re

from benchmarks.figure import Report

HEADER = ("figure", "measured", "spread", "goal", "")


def insert_report(page: str, report: Report) -> str:
    """Return `page` with the section of `report` replaced, or added at the end."""
    begin, end = f"<!-- figures of {report.name} -->", f"<!-- end of {report.name} -->"
    section = f"{begin}\n\n{render(report)}\n{end}"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if pattern.search(page):
        return pattern.sub(lambda _: section, page)
    return f"{page.rstrip()}\n\n{section}\n"


def render(report: Report) -> str:
    """Return the section as Markdown: what was run, where and when, the table, the notes."""
    lines = [f"## {report.title}", "", f"`python -m benchmarks {report.name}`, {report.date}: {report.machine}.", ""]
    if report.figures:
        lines += [_line(HEADER), _line(("---",) * len(HEADER)), *(_line(figure.row()) for figure in report.figures), ""]
    lines += [f"- {note}" for note in report.notes]
    return "\n".join(lines) + "\n"


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
