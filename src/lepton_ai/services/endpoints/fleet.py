"""What is seen of an endpoint: its traffic, and its tasks sorted by what is to become of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lepton_ai.types.task import Task


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is seen of an endpoint from outside. `ready` and `in_flight` are by task id."""

    ready: frozenset[str] = frozenset()
    in_flight: Mapping[str, int] | None = None
    idle_seconds: float = 0.0
    last_request_seconds_ago: float | None = None  # None: no request was seen since the core began to watch
    is_wanted: bool = False  # a request waits for it to wake
    asked_since: Mapping[str, datetime] = field(default_factory=dict)  # by task id, while it is not ready
    url: str = ""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The endpoint's tasks, sorted by what is to become of them."""

    current: tuple[Task, ...]  # of the newest spec, to be kept
    old: tuple[Task, ...]  # of an earlier spec
    leaving: tuple[Task, ...]  # drained or stopped
    ended: tuple[Task, ...]
    failures: int  # replicas of the newest spec that ended by themselves since one was ready
    last_failure: str  # how the last of them ended, in words
