"""The feed from memory: it tells what the database would tell, and gives way to it where it does not know enough."""

from __future__ import annotations

import random
from typing import Any

import pytest
import sqlalchemy as sa

from lepton_ai.kernel.change import Seen, create, delete, update
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.recent import RECENT_MAX, Recent
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.testing.platform import KERNEL_KINDS
from lepton_ai.types.job import Job
from tests.unit.kernel.store.samples import ended, job, owned


@pytest.fixture
def selects(engine: sa.Engine) -> list[str]:
    """The statements that read objects."""
    heard: list[str] = []

    def hear(_c: object, _cursor: object, text: str, *_: object) -> None:
        heard.extend([text] * ("FROM objects" in text))

    sa.event.listen(engine, "before_cursor_execute", hear)
    return heard


def another(engine: sa.Engine, clock: FakeClock) -> Store:
    """A store that has seen nothing of what was committed so far."""
    return Store(engine, clock, (*KERNEL_KINDS, Job))


@pytest.mark.parametrize("narrowed", [{}, {"kinds": ("job",)}, {"project": "p1"}])
@pytest.mark.parametrize("seed", range(4))
def test_memory_and_database_tell_the_same(
    engine: sa.Engine, clock: FakeClock, store: Store, seed: int, narrowed: dict[str, Any]
) -> None:
    draw = random.Random(seed)
    store.commit([create(job(n, project=f"p{n % 2}")) for n in range(9)], actor="ada")
    for n in draw.sample(range(9), 9):
        verb = draw.choice((update, delete))
        store.commit([create(owned(job(n))), verb(ended(store.get(Job, f"job-{n:04}")))], actor="ada")
    for since in range(store.revision() + 1):
        assert told(store, since, narrowed) == told(another(engine, clock), since, narrowed)


def told(store: Store, since: int, narrowed: dict[str, Any]) -> list[Seen]:
    """Return the feed; the order within one commit is nobody's business."""
    return sorted(store.changes(since, **narrowed), key=lambda one: (one.revision, one.object.id))


def test_what_was_committed_here_is_not_read_back(store: Store, selects: list[str]) -> None:
    store.commit([create(job(1))], actor="ada")
    assert len(store.changes(0)) == 1
    assert selects == []


def test_what_another_process_commits_is_seen(engine: sa.Engine, clock: FakeClock, store: Store) -> None:
    store.commit([create(job(1))], actor="ada")
    another(engine, clock).commit([create(job(2))], actor="bob")
    assert [one.object.id for one in store.changes(0)] == ["job-0001", "job-0002"]
    store.commit([create(job(3))], actor="ada")
    assert [one.object.id for one in store.changes(0)] == ["job-0001", "job-0002", "job-0003"]
    assert [one.object.id for one in store.changes(2)] == ["job-0003"]


def test_only_so_much_is_kept(store: Store) -> None:
    seen = store.commit([create(job(number)) for number in range(100)], actor="ada").seen
    recent = Recent()
    for revision in range(1, 101):
        recent.add(revision, seen)
    kept = RECENT_MAX // 100
    assert recent.since(100 - kept, 100, {"job"}, None) is not None
    assert recent.since(99 - kept, 100, {"job"}, None) is None
