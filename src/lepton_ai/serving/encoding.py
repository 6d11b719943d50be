"""Results as JSON: pydantic models, dataclasses, dates, and anything with a `tolist` (NumPy, torch, JAX)."""

from __future__ import annotations

from pydantic_core import PydanticSerializationError
from pydantic_core import to_json as encode

from lepton_ai.serving.problems import Refusal


def to_json(value: object) -> bytes:
    """Return `value` as JSON; NaN and infinities become null, since JSON has no word for them. Raises Refusal."""
    try:
        return encode(value, fallback=_plain, inf_nan_mode="null")
    except (PydanticSerializationError, UnicodeDecodeError) as error:
        raise Refusal(
            500,
            f"The handler's result cannot be written as JSON: {str(error)[:200]}.",
            hint="Return numbers, strings, lists, dicts, arrays, dataclasses or pydantic models.",
            code="handler_failed",
        ) from error


def _plain(value: object) -> object:
    tolist = getattr(value, "tolist", None)
    if tolist is None:
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return tolist()
