"""Turns what the pass could not start into waits that a user can read, with an expected start."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from lepton_ai.kernel.scheduling.fleet import Fleet, Ledger
from lepton_ai.kernel.scheduling.groups import Choice, Group, Grouped
from lepton_ai.kernel.scheduling.order import Queue
from lepton_ai.kernel.scheduling.reasons import busy, in_words, needs
from lepton_ai.kernel.scheduling.reserve import Reservation
from lepton_ai.kernel.scheduling.snapshot import Refusal, Snapshot, Wait
from lepton_ai.kernel.scheduling.timeline import Opening, Timeline

EXACT_SHAPES_MAX = 64  # 64 shapes x 0.5 ms = 32 ms; shapes further back get the fluid estimate of `backlog`
START_MAX_SECONDS = 10 * 366 * 86_400.0  # whoever has longer to wait is not promised a date


class Blocked(NamedTuple):
    """A task that does not start, as the pass left it. `could` is the slower option that it declined."""

    row: int
    rank: int
    refusal: Refusal
    choice: Choice | None  # the option that it waits for; None if the cluster could never hold it
    delay: float
    could: Choice | None = None
    reservation: Reservation | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the sentences are read off."""

    snapshot: Snapshot
    fleet: Fleet
    free: Ledger
    grouped: Grouped
    queue: Queue


@dataclass(slots=True)
class _Text:
    """What all blocked tasks of a shape have in common."""

    opening: Opening | None
    busy: str
    is_exact: bool


def waits_of(
    blocked: Sequence[Blocked],
    outlook: Outlook,
    reservations: Sequence[Reservation],
    timeline: Callable[[], Timeline],
) -> tuple[Wait, ...]:
    """Return a wait for each of `blocked`; the timeline is asked for only if one of them needs it."""
    texts: dict[tuple[int, int], _Text] = {}
    later: Timeline | None = None
    kept = _reserved_text(reservations)
    waiting = sorted(outlook.snapshot.waiting, key=lambda task: task.id)
    waits = []
    for item in blocked:
        group = outlook.grouped.group_of[item.row]
        terms = _terms(item, group, outlook)
        task_id = waiting[item.row].id
        if item.choice is None:
            sentence = group.never[1] if group.never else ""
            waits.append(Wait(task_id, item.refusal, sentence, item.rank, None, terms))
            continue
        text = texts.get((group.number, item.choice[1]))
        if text is None:
            later = later or timeline()
            text = _text_of(group, item.choice[1], outlook, later if len(texts) < EXACT_SHAPES_MAX else None)
            texts[group.number, item.choice[1]] = text
        start = _start(item, text, outlook.snapshot.now)
        sentence = _sentence(item, group, text, kept) if item.reservation is None else _next_up(item, group, outlook)
        waits.append(Wait(task_id, item.refusal, sentence, item.rank, start, terms))
    return tuple(waits)


def _text_of(group: Group, option: int, outlook: Outlook, timeline: Timeline | None) -> _Text:
    if timeline is None:
        return _Text(None, f"needs {needs(group.shape)}; every node that could hold it is busy", False)
    pool = group.options[option].pool
    opening = timeline.opening(group.shape, pool)
    return _Text(opening, busy(group.shape, pool, outlook.fleet, outlook.free, opening), True)


def _sentence(item: Blocked, group: Group, text: _Text, kept: str) -> str:
    if item.could is not None and item.choice is not None:
        now, then = group.options[item.could[1]].pool.name, group.options[item.choice[1]].pool.name
        ends = f"could start now on {now} and take about {in_words(item.could[0])}"
        return f"{ends}, but is expected to end sooner on {then}, which has room in about {in_words(item.delay)}"
    return kept if item.refusal is Refusal.RESERVED else text.busy


def _next_up(item: Blocked, group: Group, outlook: Outlook) -> str:
    if item.reservation is None or item.choice is None:
        return ""
    reservation = item.reservation
    nodes = sorted({outlook.fleet.names[node] for node, _ in reservation.spots})
    where = f"node {nodes[0]}" if len(nodes) == 1 else f"{len(nodes)} nodes"
    kept = f"it is next: room on {where} is reserved for it in {in_words(reservation.seconds)}"
    if item.could is not None:
        now, then = group.options[item.could[1]].pool.name, group.options[item.choice[1]].pool.name
        ends = f"could start now on {now} and take about {in_words(item.could[0])}"
        return f"{ends}, but is expected to end sooner on {then}; {kept}"
    short = busy(group.shape, group.options[item.choice[1]].pool, outlook.fleet, outlook.free, reservation.opening)
    return f"{short}; {kept}"


def _reserved_text(reservations: Sequence[Reservation]) -> str:
    if not reservations:
        return ""
    first = reservations[0]
    head = f"'{first.task_name}', which is before it and due in {in_words(first.seconds)}"
    return f"has room now, but is expected to run for longer than that and would delay {head}"


def _start(item: Blocked, text: _Text, now: datetime) -> datetime | None:
    if item.reservation is not None:
        seconds = item.reservation.seconds
    elif text.is_exact and text.opening is None:
        return None
    else:
        first = text.opening.seconds if text.opening is not None else 0.0
        seconds = max(first, item.delay) if item.delay < math.inf or not text.is_exact else first
    return now + timedelta(seconds=seconds) if seconds < START_MAX_SECONDS else None


def _terms(item: Blocked, group: Group, outlook: Outlook) -> dict[str, float]:
    if item.choice is None:
        return outlook.queue.terms(item.row, None, 0.0)
    terms = outlook.queue.terms(item.row, item.choice, group.options[item.choice[1]].share)
    if item.reservation is not None:
        terms["reserved_in_seconds"] = item.reservation.seconds
    if item.could is not None:
        terms["declined_seconds"] = item.could[0]
    return terms
