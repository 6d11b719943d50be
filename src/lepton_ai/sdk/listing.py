"""What a list returns: the items of one page, the cursor of the next, and how they look in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from lepton_ai.sdk.notebook import Bar, Cell, table

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Columns(Generic[T]):
    """Which columns show an item."""

    headings: tuple[str, ...]
    row: Callable[[T], Sequence[Cell]]


@dataclass(frozen=True, slots=True, repr=False)
class Listing(Sequence[T]):
    """A sequence of items. `next` is the cursor of the following page, empty at the end."""

    items: tuple[T, ...]
    columns: Columns[T]
    next: str = ""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Listing[T]: ...
    def __getitem__(self, index: int | slice) -> T | Listing[T]:
        if isinstance(index, slice):
            return Listing(self.items[index], self.columns)
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __repr__(self) -> str:
        """Return a plain table, as wide as its texts."""
        if not self.items:
            return "(none)"
        rows = [self.columns.headings, *([_plain(cell) for cell in self.columns.row(item)] for item in self.items)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        rows = [self.columns.row(item) for item in self.items]
        return table(self.columns.headings, rows, "" if rows else "none")


def _plain(cell: Cell) -> str:
    if isinstance(cell, Bar):
        return f"{cell.share:.0%}" if cell.share >= 0 else "-"
    return " ".join(cell.split())
