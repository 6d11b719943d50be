"""Where work may run: conditions on the labels of nodes, such as `site=berlin|paris` or `rack!=r3`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

NODE_KEY = "node"  # stands for the node's own name, in conditions only
BOOKKEEPING = frozenset({"price", "price-per-device-hour"})  # labels that say what a node costs, not where it is
CONDITIONS_MAX = 32
VALUES_MAX = 64  # of one condition
TEXT_MAX = 1024
_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?")
_VALUE = re.compile(r"[A-Za-z0-9._:/+-]{1,256}")
_KEY_WORDS = "letters, digits and inner ._/-, at most 128"
_VALUE_WORDS = "1 to 256 letters, digits and ._:/+-"


class Condition(NamedTuple):
    """A node's label `key` is one of `values`, or, with `is_not`, none of them; a node without the label is none."""

    key: str
    values: tuple[str, ...]
    is_not: bool = False

    def __str__(self) -> str:
        return f"{self.key}{'!=' if self.is_not else '='}{'|'.join(self.values)}"

    def is_met(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a node with these labels will do."""
        return (labels.get(self.key) in self.values) != self.is_not


def check_label(key: str, value: str) -> None:
    """Raise ValueError unless a condition could name that label of a node."""
    if key == NODE_KEY:
        raise ValueError(f"the label {NODE_KEY!r} is the node's name already")
    _check_key(key)
    _check_value(value)


def read_condition(text: str) -> Condition:
    """Read `KEY=VALUE|VALUE` or `KEY!=VALUE|VALUE`; raises ValueError with the form and what is wrong."""
    left, equals, right = text[:TEXT_MAX].partition("=")
    is_not = left.endswith("!")
    key, values = left.removesuffix("!").strip(), tuple(sorted({value.strip() for value in right.split("|")}))
    if not equals or len(text) > TEXT_MAX:
        raise ValueError(f"{text[:80]!r} is not a place: write site=berlin, site=berlin|paris or rack!=r3")
    if len(values) > VALUES_MAX:
        raise ValueError(f"{key[:80]!r} has {len(values)} values; {VALUES_MAX} are the most")
    _check_key(key)
    for value in values:
        _check_value(value)
    return Condition(key, values, is_not)


def read_where(conditions: tuple[str, ...]) -> tuple[Condition, ...]:
    """Return conditions that must all be met, in one order whichever way they were written."""
    return tuple(sorted({read_condition(text) for text in conditions}))


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key[:80]!r} is not a label's key: use {_KEY_WORDS}")


def _check_value(value: str) -> None:
    if not _VALUE.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is not a label's value: use {_VALUE_WORDS}")


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _canonical(text: str) -> str:
    return str(read_condition(text))


Where = Annotated[
    tuple[Annotated[str, AfterValidator(_canonical)], ...], BeforeValidator(_listed), Field(max_length=CONDITIONS_MAX)
]
