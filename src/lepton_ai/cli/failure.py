"""How a failure is shown: the fact and the next step on stderr; a traceback only with LEPTON_DEBUG=1."""

from __future__ import annotations

import json
import os
import sys

from lepton_ai.errors import LeptonError

REPORT_HINT = "This is a mistake of ours: run it again with LEPTON_DEBUG=1 and report what that prints."
DEBUG = "LEPTON_DEBUG"


def wants_traceback() -> bool:
    """Tell whether the user asked to see our own mistakes whole."""
    return os.environ.get(DEBUG, "") not in {"", "0"}


def unexpected(error: Exception) -> LeptonError:
    """Return what is said of an exception that nobody foresaw."""
    said = " ".join(str(error).split())[:300]
    return LeptonError(f"{type(error).__name__}: {said}" if said else f"{type(error).__name__}.", hint=REPORT_HINT)


def report(error: LeptonError, *, as_json: bool) -> None:
    """Print `error` on stderr: two lines, or a problem object as RFC 9457 has it."""
    if as_json:
        print(json.dumps(_problem(error), ensure_ascii=False), file=sys.stderr)
        return
    print(f"Error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"Hint: {error.hint}", file=sys.stderr)


def _problem(error: LeptonError) -> dict[str, str | int]:
    return {
        "type": "about:blank",
        "title": type(error).__name__,
        "status": error.http_status,
        "detail": error.message,
        "code": error.code,
        "hint": error.hint,
    }
