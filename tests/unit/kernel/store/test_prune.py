"""What the store forgets, and what of a deleted object it never keeps."""

from __future__ import annotations

import sqlalchemy as sa

from lepton_ai.kernel.change import Note, create, delete, update
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.schema import events as events_table
from lepton_ai.kernel.store.schema import objects as objects_table
from lepton_ai.kernel.store.schema import revision as revision_table
from lepton_ai.kernel.store.store import EVENTS_KEPT, PRUNED_MAX, TOMBSTONES_KEPT
from lepton_ai.types.base import Metadata
from lepton_ai.types.identity import Secret, SecretSpec, Token, TokenSpec
from lepton_ai.types.job import Job
from lepton_ai.types.task import Task
from tests.unit.kernel.store.samples import job

ACTOR = "ada"


def put(store: Store, *things: Job | Task) -> list[Job]:
    return [_job(thing) for thing in store.commit([create(thing) for thing in things], actor=ACTOR).objects[:1]]


def _job(thing: object) -> Job:
    assert isinstance(thing, Job)
    return thing


def test_old_events_are_pruned_and_new_ones_kept(engine: sa.Engine, store: Store) -> None:
    store.commit([create(job(), Note("old", "Old."))], actor=ACTOR)
    store.commit([update(store.get(Job, "job-0001"), Note("new", "New."))], actor=ACTOR)
    with engine.execution_options(writes=True).begin() as connection:
        old = sa.update(events_table).where(events_table.c.code == "old")
        connection.execute(old.values(seq=events_table.c.seq - 2_000_000))
    assert not store.prune()
    assert [event.code for event in store.events(after=-3_000_000)] == ["new"]


def test_of_a_deleted_object_nothing_secret_is_kept(engine: sa.Engine, store: Store) -> None:
    secret = Secret(metadata=Metadata(id="secret-1", name="key"), spec=SecretSpec(sealed="ciphertext"))
    token = Token(metadata=Metadata(id="token-1", name="t1"), spec=TokenSpec(user="ada", sha256="digest"))
    made = store.commit([create(secret), create(token)], actor=ACTOR)
    store.commit([delete(thing) for thing in made.objects], actor=ACTOR)
    with engine.connect() as connection:
        kept = " ".join(connection.execute(sa.select(objects_table.c.body)).scalars())
    assert [(seen.object.name, seen.is_deleted) for seen in store.changes(1)] == [("key", True), ("t1", True)]
    assert "ciphertext" not in kept
    assert "digest" not in kept


def test_deleted_objects_are_forgotten_once_no_watcher_can_be_so_far_behind(engine: sa.Engine, store: Store) -> None:
    put(store, job(1), job(2), job(3))
    store.commit([delete(store.get(Job, "job-0001"))], actor=ACTOR)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(sa.update(revision_table).values(last=2 + TOMBSTONES_KEPT - 1))
    store.commit([delete(store.get(Job, "job-0002"))], actor=ACTOR)
    assert not store.prune()
    assert [seen.object.id for seen in store.changes(0)] == ["job-0003", "job-0002"]


def test_one_call_prunes_no_more_than_its_share_and_tells_that_there_is_more(engine: sa.Engine, store: Store) -> None:
    numbers = range(1, PRUNED_MAX + 2)
    row = {"at": "", "project": "", "kind": "", "object_id": "", "object_name": "", "sentence": "", "actor": ""}
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(sa.insert(events_table), [{**row, "seq": number, "code": "old"} for number in numbers])
        connection.execute(sa.insert(events_table), [{**row, "seq": EVENTS_KEPT * 2, "code": "new"}])
    assert store.prune()
    assert not store.prune()
    with engine.connect() as connection:
        assert connection.execute(sa.select(events_table.c.code)).scalars().all() == ["new"]
