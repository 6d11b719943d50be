"""Keeps Python's cycle collector out of a pass, which makes many objects and no cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Let nothing be searched for cycles meanwhile; reference counts free what a pass drops, as ever.

    A pass over 10,000 tasks makes some 50,000 objects that live until it ends. The collector would look at them, and at
    all else that the core holds, over and over: 30 % of the time. It is switched on again at the end, where it was on;
    passes in several threads at once leave it on too, for none switches it off for good.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
