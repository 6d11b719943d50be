"""What goes wrong in a simulation: drawn from one seeded source, so that a seed is a whole history."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

from lepton_ai.errors import StorageFailed, Unavailable

LOSE, REFUSE, DO_AND_REFUSE, REPEAT = 0.05, 0.04, 0.03, 0.05  # of the commands to the runtime
CRASH = 0.004  # of the calls and commits: about every fourth pass that does something
STORE_REFUSES = 0.01  # of the commits
USER_ACTS = 0.02  # of the calls: a user changes something in the middle of a pass


class Crashed(BaseException):
    """The core is dead. Not an Exception: nothing in the core may catch its own death."""


class Fate(StrEnum):
    """What becomes of a command on its way to a node."""

    DONE = "done"
    LOST = "lost"
    REFUSED = "refused"
    DONE_AND_REFUSED = "done_and_refused"  # the answer is lost, not the command
    REPEATED = "repeated"  # arrives a second time, later


class Faults:
    """Draws what goes wrong next. Switched off, everything goes right."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - history, not cryptography
        self.is_on = False
        self.act: Callable[[], None] = lambda: None  # what a user does between two lines of the core

    def chance(self, probability: float) -> bool:
        """Draw whether something happens; nothing does while faults are off."""
        return self.is_on and self.random.random() < probability

    def step(self) -> None:
        """Stand between two steps of the core: it may die here, and a user may act here."""
        if self.chance(USER_ACTS):
            self.act()
        if self.chance(CRASH):
            raise Crashed

    def commit(self) -> None:
        """Stand before a commit, which the disk may refuse."""
        self.step()
        if self.chance(STORE_REFUSES):
            raise StorageFailed("No space is left for the database.", hint="Free some disk space.")

    def fate(self) -> Fate:
        """Draw what becomes of a command."""
        if not self.is_on:
            return Fate.DONE
        fates = (Fate.LOST, Fate.REFUSED, Fate.DONE_AND_REFUSED, Fate.REPEATED, Fate.DONE)
        odds = (LOSE, REFUSE, DO_AND_REFUSE, REPEAT)
        return self.random.choices(fates, (*odds, 1 - sum(odds)))[0]

    def delay(self, up_to_seconds: float, otherwise: float = 0.0) -> timedelta:
        """Draw a delay in whole milliseconds; `otherwise` while faults are off."""
        drawn = self.random.uniform(0, up_to_seconds) if self.is_on else otherwise
        return timedelta(milliseconds=round(drawn * 1000))


def unreachable(node: str) -> Unavailable:
    """Return the error of a node that does not answer."""
    return Unavailable(f"Node {node!r} does not answer.", hint="See: lepton node list")
