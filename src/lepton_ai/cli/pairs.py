"""Reads repeated NAME=VALUE options."""

from __future__ import annotations

from collections.abc import Iterable

import typer


def read_pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    """Return the pairs; the value may hold further equal signs. A pair without one is a wrong usage."""
    pairs = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{each[:80]!r} is not of the form NAME=VALUE.", param_hint=option)
        pairs[name] = value
    return pairs
