"""Rows of a file with a heading, read strictly: whatever is wrong is told with file, line and column."""

from __future__ import annotations

import csv
import gzip
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from lepton_ai.errors import InvalidInput, TooLarge
from lepton_ai.types.resources import ACCELERATORS_MAX

ROWS_MAX = 1_000_000  # of about 600 bytes each once they are tasks = 600 MB; steps of Slurm jobs are rows too
LINE_CHARACTERS_MAX = 131_072
NUMBER_MAX = 1e15  # more is no amount of anything here
_CLOCK = re.compile(r"(?:(\d{1,6})-)?(?:(\d{1,6}):)?(\d{1,6}):(\d{1,2})(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file. `titles` are its columns, as they stand in its first line."""

    name: str
    titles: tuple[str, ...]
    rows: Iterator[Row]

    def need(self, format_name: str, *titles: str) -> None:
        """Raise InvalidInput unless the file has all these columns."""
        missing = [title for title in titles if title not in self.titles]
        if missing:
            raise InvalidInput(
                f"{self.name} is no {format_name} trace: it has no column {', '.join(missing)}.",
                hint=f"It has: {', '.join(self.titles)[:200]}",
            )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file, by column."""

    file: str
    line: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """Return what stands there, without blanks around it; nothing if there is no such column."""
        return self.cells.get(column, "").strip()

    def number(self, column: str, what: str, default: float = 0.0) -> float:
        """Return a number; NaN stays NaN. An empty cell is the default; raises InvalidInput for anything else."""
        text = self.text(column)
        if not text:
            return default
        try:
            return float(text)
        except ValueError:
            raise self.wrong(column, f"is not {what}") from None

    def amount(self, column: str, what: str, default: float = 0.0) -> float:
        """Return a number that something can be had of: neither NaN nor negative nor beyond all measure."""
        found = self.number(column, what, default)
        if not 0 <= found <= NUMBER_MAX:
            raise self.wrong(column, f"is not {what}")
        return found

    def count(self, column: str, what: str, default: int = 0) -> int:
        """Return a whole number from 0 on."""
        found = self.amount(column, what, default)
        if found != math.floor(found):
            raise self.wrong(column, f"is not {what}")
        return int(found)

    def moment(self, column: str) -> float:
        """Return a time such as 2026-01-31T12:00:00 (read as UTC), or seconds, as seconds from 1970; NaN if unknown."""
        text = self.text(column)
        if text.lower() in {"", "unknown", "none", "n/a"}:
            return math.nan
        if text.isdecimal() and len(text) <= 15:
            return float(text)
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise self.wrong(column, "is not a time such as 2026-01-31T12:00:00") from None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()

    def span(self, column: str) -> float:
        """Return [days-][hours:]minutes:seconds as seconds; NaN if there is none."""
        text = self.text(column)
        if text.lower() in {"", "unknown", "none", "n/a", "unlimited", "partition_limit", "invalid"}:
            return math.nan
        found = _CLOCK.fullmatch(text)
        if not found:
            raise self.wrong(column, "is not a duration such as 1-02:03:04")
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)

    def wrong(self, column: str, why: str) -> InvalidInput:
        """Return the error that says why this cell cannot be read."""
        return InvalidInput(
            f"{self.file} line {self.line}: {column} {self.text(column)[:60]!r} {why}.",
            hint="Mend or remove the line.",
        )


def open_table(path: Path, delimiter: str = ",") -> Table:
    """Open a file, plain or gzip, and read its first line; raises InvalidInput if it is empty or no text."""
    lines = _lines(path)
    try:
        reader = csv.reader(
            lines, delimiter=delimiter, quoting=csv.QUOTE_NONE if delimiter == "|" else csv.QUOTE_MINIMAL
        )
        titles = next(reader, [])
    except csv.Error as error:
        raise InvalidInput(f"{path.name} line 1: {error}.", hint="Is it a text file?") from error
    if not any(title.strip() for title in titles):
        raise InvalidInput(f"{path.name} is empty.", hint="The first line names the columns.")
    named = tuple(title.strip().lstrip("\ufeff") for title in titles)
    return Table(path.name, named, _rows(path.name, named, reader))


def _rows(name: str, titles: Sequence[str], reader: Iterator[list[str]]) -> Iterator[Row]:
    number = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InvalidInput(f"{name} line {number + 1}: {error}.", hint="Mend or remove the line.") from error
        if cells is None:
            return
        number += 1
        if number > ROWS_MAX:
            raise TooLarge(f"{name} has more than {ROWS_MAX:,} lines.", hint="Cut it into parts by time.")
        if not any(cells):
            continue
        if len(cells) != len(titles):
            raise InvalidInput(
                f"{name} line {number}: it has {len(cells)} columns, the first line {len(titles)}.",
                hint="Mend or remove the line.",
            )
        yield Row(name, number, dict(zip(titles, cells, strict=True)))


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file, unpacked if it is gzip."""
    try:
        with _open(path) as file:
            number = 0
            while line := file.readline(LINE_CHARACTERS_MAX + 1):
                number += 1
                if len(line) > LINE_CHARACTERS_MAX:
                    raise InvalidInput(f"{path.name} line {number} has more than {LINE_CHARACTERS_MAX:,} characters.")
                yield line
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(f"{path.name} cannot be read: {why}.", hint="Check the path and the file.") from error


def _open(path: Path) -> IO[str]:
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    if is_packed:
        return gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="")
    return path.open(encoding="utf-8", errors="replace", newline="")


def too_many_devices(row: Row, column: str, count: int) -> InvalidInput:
    """Return the error for more devices on one node than there are."""
    return row.wrong(column, f"is more than the {ACCELERATORS_MAX} devices that one replica may hold; this is {count}")
