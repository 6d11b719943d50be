"""Tells on stderr, in words, why something that was submitted does not run yet."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lepton_ai.cli.output import console, is_terminal, notice

if TYPE_CHECKING:
    from rich.status import Status


class Waiting:
    """A spinner with the newest reason at a terminal, else one line for each new reason. Use it with `with`."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._last = ""
        self._version = 0
        self._status: Status | None = None

    def tell(self, version: int, state: str, sentence: str) -> None:
        """Show why it waits, if that is news; `version` counts the object's changes, for a watch repeats old ones."""
        if version < self._version:
            return
        self._version = version
        text = f"{self._subject} is {state}" + (f": {sentence}" if sentence else "")
        if text == self._last:
            return
        self._last = text
        if not is_terminal(sys.stderr):
            # A bare state is no reason: a script's log would fill with words that say nothing.
            if sentence:
                notice(text)
        elif self._status is None:
            self._status = console(sys.stderr).status(text)
            self._status.start()
        else:
            self._status.update(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._status is not None:
            self._status.stop()
