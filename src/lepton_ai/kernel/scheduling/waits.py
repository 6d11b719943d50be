"""Turns what a walk could not start into waits that a user can read, with an expected start."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from lepton_ai.kernel.scheduling.amounts import needs
from lepton_ai.kernel.scheduling.costs import too_dear
from lepton_ai.kernel.scheduling.groups import Choice, Group
from lepton_ai.kernel.scheduling.occupancy import Ahead, Occupancy
from lepton_ai.kernel.scheduling.reasons import busy, in_words
from lepton_ai.kernel.scheduling.reserve import Reservation
from lepton_ai.kernel.scheduling.share_reasons import Bars
from lepton_ai.kernel.scheduling.snapshot import Refusal, Wait
from lepton_ai.kernel.scheduling.timeline import Timeline
from lepton_ai.kernel.scheduling.waiting import Ranking, Waiting
from lepton_ai.kernel.scheduling.walk import Blocked

EXACT_SHAPES_MAX = 64  # 64 shapes x 0.5 ms = 32 ms; shapes further back get the fluid estimate of `backlog`
GIVES_WAY = "; a dearer kind had room, where others come before it"
START_MAX_SECONDS = 10 * 366 * 86_400.0  # whoever has longer to wait is not promised a date


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the sentences are read off; rows are those of `waiting`."""

    now: datetime
    waiting: Waiting
    ranking: Ranking
    rank: Callable[[int], int]
    occupancy: Occupancy
    ahead: Ahead


class _Text(NamedTuple):
    """What all blocked tasks of a shape have in common. `opening` is when there is room: infinite if nobody can say."""

    busy: str
    share: float
    opening: float
    is_exact: bool


def waits_of(blocked: Sequence[Blocked], outlook: Outlook) -> tuple[Wait, ...]:
    """Return a wait for each of `blocked`."""
    texts: dict[tuple[int, int], _Text] = {}
    bars = Bars(outlook.occupancy, outlook.now.timestamp())
    timeline: Timeline | None = None  # made only if one of them needs it
    kept = _reserved_text(outlook.ahead.reservations)
    waits = []
    for item in blocked:
        row, refusal, choice, _, could, reservation = item
        group, task_id = outlook.waiting.groups[row], outlook.waiting.tasks[row].id
        if refusal in {Refusal.QUOTA, Refusal.BUDGET}:
            waits.append(_barred(item, group, outlook, bars))
            continue
        if choice is None:
            waits.append(_for_ever(item, group, outlook))
            continue
        text = texts.get((group.number, choice[1]))
        if text is None:
            timeline = timeline or outlook.ahead.timeline()
            text = _text_of(group, choice[1], outlook, timeline if len(texts) < EXACT_SHAPES_MAX else None)
            texts[group.number, choice[1]] = text
        terms = outlook.ranking.terms(row, choice, text.share)
        sentence = kept if refusal is Refusal.RESERVED else text.busy
        if could is not None:
            terms["declined_seconds"] = could[0]
            sentence = _declined(could, choice, group, f", which has room in about {in_words(item.delay)}")
        if reservation is not None:
            terms["reserved_in_seconds"] = reservation.seconds
            sentence = _next_up(item, reservation, group, outlook)
        if row in outlook.ranking.second_turns:
            sentence += GIVES_WAY
        start = _start(item, text, outlook.now)
        waits.append(Wait(task_id, refusal, sentence, outlook.rank(row), start, terms))
    return tuple(waits)


def _for_ever(item: Blocked, group: Group, outlook: Outlook) -> Wait:
    sentence, terms = group.never[1] if group.never else "", outlook.ranking.terms(item.row)
    task = outlook.waiting.tasks[item.row]
    if item.refusal is Refusal.TOO_DEAR:
        sentence = too_dear(task, group.shape._replace(ceilings=()), outlook.occupancy.fleet)
    return Wait(task.id, item.refusal, sentence, outlook.rank(item.row), None, terms)


def _barred(item: Blocked, group: Group, outlook: Outlook, bars: Bars) -> Wait:
    bar = bars.of(outlook.waiting.cells[item.row], group)
    start = outlook.now + timedelta(seconds=bar.seconds) if bar.seconds < START_MAX_SECONDS else None
    task_id, terms = outlook.waiting.tasks[item.row].id, outlook.ranking.terms(item.row)
    return Wait(task_id, item.refusal, bar.sentence, outlook.rank(item.row), start, terms)


def _text_of(group: Group, option: int, outlook: Outlook, timeline: Timeline | None) -> _Text:
    pool, share = group.options[option].pool, group.options[option].share
    if timeline is None:
        return _Text(f"needs {needs(group.shape)}; every node that could hold it is busy", share, 0.0, False)
    opening = timeline.opening(group.shape, pool)
    why = busy(group.shape, pool, outlook.occupancy.fleet, outlook.occupancy.free, opening)
    return _Text(why, share, math.inf if opening is None else opening.seconds, True)


def _declined(could: Choice, choice: Choice, group: Group, when: str) -> str:
    now, then = group.options[could[1]].pool.name, group.options[choice[1]].pool.name
    ends = f"could start now on {now} and take about {in_words(could[0])}"
    return f"{ends}, but is expected to end sooner on {then}{when}"


def _next_up(item: Blocked, reservation: Reservation, group: Group, outlook: Outlook) -> str:
    assert item.choice is not None
    fleet, free = outlook.occupancy.fleet, outlook.occupancy.free
    nodes = sorted({fleet.names[node] for node, _ in reservation.spots})
    where = f"node {nodes[0]}" if len(nodes) == 1 else f"{len(nodes)} nodes"
    kept = f"it is next: room on {where} is reserved for it in {in_words(reservation.seconds)}"
    if item.could is not None:
        return f"{_declined(item.could, item.choice, group, '')}; {kept}"
    return f"{busy(group.shape, group.options[item.choice[1]].pool, fleet, free, reservation.opening)}; {kept}"


def _reserved_text(reservations: Sequence[Reservation]) -> str:
    if not reservations:
        return ""
    first = reservations[0]
    head = f"'{first.task_name}', which is before it and due in {in_words(first.seconds)}"
    return f"has room now, but is expected to run for longer than that and would delay {head}"


def _start(item: Blocked, text: _Text, now: datetime) -> datetime | None:
    if item.reservation is not None:
        seconds = item.reservation.seconds
    elif item.delay == math.inf and text.is_exact:
        seconds = text.opening
    else:
        seconds = max(text.opening, item.delay)
    return now + timedelta(seconds=seconds) if seconds < START_MAX_SECONDS else None
