"""Reads the bounds of a project from the command line, and prints them beside what is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from lepton_ai.cli.output import bar
from lepton_ai.cli.pairs import read_pairs

if TYPE_CHECKING:
    from lepton_ai.types.share import Ceiling, ProjectUsage

SPEC = "NAME=AMOUNT,..."
NONE = "none"
_COUNTED = re.compile(r"^(\d{1,7}(?:\.\d+)?)x([^=]+)$")
_SPENT = {"device-hours": "device_hours", "money": "money"}


def amounts_of(option: str, text: str) -> dict[str, Any]:
    """Return the patch for "gpu=8,h100=4,cpu=64,memory=256GB"; an amount of none takes the bound away.

    Devices may be written as nodes are, too: 4xh100.
    """
    patch: dict[str, Any] = {}
    parts = [_COUNTED.sub(r"\2=\1", part.strip()) for part in text.split(",")]
    for name, value in read_pairs(option, filter(None, parts)).items():
        amount = None if value == NONE else value if name == "memory" else _number(option, value)
        if name in {"cpu", "memory"}:
            patch[name] = amount
        else:
            patch.setdefault("accelerators", {})["*" if name in {"gpu", "accelerator"} else name.lower()] = amount
    return patch


def ceilings_of(hard: str | None, soft: str | None) -> dict[str, Any]:
    """Return the patch for "device-hours=500,money=1000", for the hard and the soft bound."""
    patch: dict[str, Any] = {}
    for option, key, text in (("--budget", "hard", hard), ("--soft-budget", "soft", soft)):
        if text == NONE:
            for field in _SPENT.values():
                patch.setdefault(field, {})[key] = None
            continue
        for name, value in read_pairs(option, filter(None, (text or "").split(","))).items():
            if name not in _SPENT:
                raise typer.BadParameter(f"{name[:40]!r} is not one of {', '.join(_SPENT)}.", param_hint=option)
            patch.setdefault(_SPENT[name], {})[key] = None if value == NONE else _number(option, value)
    return patch


class Line(NamedTuple):
    """One resource of a project: what it holds, and its bounds if it has any."""

    name: str
    held: float
    quota: float | None
    limit: float | None

    @classmethod
    def of(cls, usage: ProjectUsage, name: str) -> Line:
        return cls(name, usage.held.of(name), usage.quota.named().get(name), usage.limit.named().get(name))

    def short(self) -> str:
        """Return "████░░░░ 4/8": of the quota, or of the limit if there is no quota; the amount alone without."""
        most = self.quota if self.quota is not None else self.limit
        if most is None:
            return self.said(self.held) if self.held else "-"
        return f"{bar(self.held / most if most else 1.0, 8)} {self.said(self.held)}/{self.said(most)}"

    def said(self, amount: float | None) -> str:
        """Return an amount as people read it."""
        from lepton_ai.types.quantity import format_bytes

        if amount is None:
            return "-"
        return format_bytes(round(amount)) if self.name == "memory" else f"{amount:g}"


def with_bars(usage: ProjectUsage) -> Iterator[tuple[str, ...]]:
    """Yield resource, use with a bar, quota and limit; then what is used up, with the budget as quota and limit."""
    kinds = {kind for kind in usage.held.accelerators if kind != "*"}
    named = {*usage.quota.named(), *usage.limit.named()} - {"cpu", "memory", "gpu"}
    for name in ("cpu", "memory", "gpu", *sorted(kinds | named)):
        line = Line.of(usage, name)
        most = line.quota if line.quota is not None else line.limit
        shown = f"{bar(line.held / most if most else 0.0)} {line.said(line.held)}" if most else line.said(line.held)
        yield name, shown, line.said(line.quota), line.said(line.limit)
    for name, spent, ceiling in (
        ("device-hours", usage.spent.device_seconds / 3600, usage.budget.device_hours),
        ("money", usage.spent.money, usage.budget.money),
    ):
        soft, hard = (f"{bound:g}" if bound is not None else "-" for bound in (ceiling.soft, ceiling.hard))
        yield name, used(spent, ceiling), soft, hard


def used(spent: float, ceiling: Ceiling) -> str:
    """Return what is used up, with a bar and the bound if there is one."""
    most = ceiling.hard if ceiling.hard is not None else ceiling.soft
    if most is None:
        return f"{spent:.2f}" if spent else "-"
    return f"{bar(spent / most if most else 1.0, 8)} {spent:.2f}/{most:g}"


def _number(option: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise typer.BadParameter(f"{value[:40]!r} is not a number.", param_hint=option) from None
