"""Reads the JSON of a request strictly: what another part of the platform could choke on is refused at the door."""

from __future__ import annotations

import json
import math
from typing import Any

from fastapi import Request

from lepton_ai.errors import InvalidInput

DEPTH_MAX = 64  # no object of ours is nested deeper than 10; recursive code below is safe up to about 900
INTEGER_MAX = 2**63 - 1  # the largest that databases hold


class StrictRequest(Request):
    """A request whose body is I-JSON (RFC 7493): Unicode text, finite numbers of at most 64 bits, no NUL."""

    async def json(self) -> Any:
        """Return the body; raises InvalidInput with the place of what is wrong."""
        if not hasattr(self, "_json"):
            self._json = read_json(await self.body())
        return self._json


def read_json(body: bytes) -> Any:
    """Return the value of a JSON text; raises InvalidInput."""
    try:
        value = json.loads(body.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The body is not UTF-8: byte {error.start} is wrong.", hint="Send UTF-8.") from error
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.", hint="Send JSON."
        ) from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:  # a number of more than 4300 digits, which Python refuses to read
        raise InvalidInput("The body holds a number that is too large.", hint="Use at most 64 bits.") from error
    _check(value)
    return value


def _check(whole: Any) -> None:
    """Walk without recursion, since depth is one of the things that may be wrong."""
    pending = [(whole, 1)]
    while pending:
        value, depth = pending.pop()
        if depth > DEPTH_MAX:
            raise _too_deep()
        if isinstance(value, dict):
            pending.extend((key, depth) for key in value)
            pending.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            pending.extend((inner, depth + 1) for inner in value)
        elif isinstance(value, str):
            _check_text(value)
        elif isinstance(value, int | float):
            _check_number(value)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise InvalidInput(f"{text[:40]!r} holds a NUL character.", hint="Neither programs nor databases take it.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput(f"{text[:40]!r} holds half of a surrogate pair.", hint="Send whole characters.")


def _check_number(number: float) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise InvalidInput("The body holds a number that is not finite.", hint="JSON has no NaN and no infinity.")
    if isinstance(number, int) and abs(number) > INTEGER_MAX:
        raise InvalidInput("The body holds a number that is too large.", hint="Use at most 64 bits.")


def _too_deep() -> InvalidInput:
    return InvalidInput(f"The body is nested more than {DEPTH_MAX} levels deep.", hint="No object needs so many.")
