"""What the store promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from lepton_ai.errors import Conflict, NotFound
from lepton_ai.kernel.change import Note, create, delete, update
from lepton_ai.kernel.store import Store
from lepton_ai.testing.fakes import START, FakeClock
from lepton_ai.testing.platform import KERNEL_KINDS
from lepton_ai.types.event import AuditRecord, Outcome
from lepton_ai.types.job import Job
from lepton_ai.types.task import Task
from tests.unit.kernel.store.samples import ended, job, owned

ACTOR = "ada"


def put(store: Store, *things: Job | Task) -> list[Job]:
    return [_job(thing) for thing in store.commit([create(thing) for thing in things], actor=ACTOR).objects[:1]]


def _job(thing: object) -> Job:
    assert isinstance(thing, Job)
    return thing


def test_an_object_is_read_as_it_was_written_with_who_made_it_and_when(store: Store) -> None:
    (stored,) = put(store, job())
    assert stored == store.get(Job, "job-0001")
    assert (stored.metadata.version, stored.metadata.created_at, stored.metadata.created_by) == (1, START, ACTOR)
    assert stored.spec == job().spec


def test_each_change_raises_the_version_and_the_time(store: Store, clock: FakeClock) -> None:
    (stored,) = put(store, job())
    clock.advance(timedelta(seconds=5))
    store.commit([update(stored)], actor=ACTOR)
    after = store.get(Job, stored.id)
    assert (after.metadata.version, after.metadata.updated_at) == (2, START + timedelta(seconds=5))
    assert after.metadata.created_at == START


def test_an_update_of_an_older_version_is_refused_and_writes_nothing(store: Store) -> None:
    (stored,) = put(store, job())
    store.commit([update(stored)], actor=ACTOR)
    with pytest.raises(Conflict, match="version 1 is old"):
        store.commit([create(job(2)), update(stored, Note("changed", "Too late."))], actor=ACTOR)
    assert store.look_up(Job, "default", "j2") is None
    assert [event.code for event in store.events()] == []


def test_where_races_are_expected_the_losers_are_told_and_the_rest_is_written(store: Store) -> None:
    (stored,) = put(store, job())
    store.commit([update(stored)], actor=ACTOR)
    late = update(stored, Note("changed", "Too late."))
    done = store.commit([late, create(job(2), Note("made", "Made."))], actor=ACTOR, strict=False)
    assert (list(done.conflicts), [one.id for one in done.objects]) == ([late], ["job-0002"])
    assert [event.code for event in store.events()] == ["made"]


def test_of_two_changes_of_one_object_in_one_commit_the_second_loses(store: Store) -> None:
    (stored,) = put(store, job())
    done = store.commit([update(stored), update(stored)], actor=ACTOR, strict=False)
    assert (len(done.objects), len(done.conflicts)) == (1, 1)


def test_a_name_is_taken_while_its_holder_lives(store: Store) -> None:
    (stored,) = put(store, job(1, name="train"))
    with pytest.raises(Conflict, match="'train' already exists"):
        put(store, job(2, name="train"))
    store.commit([update(ended(stored))], actor=ACTOR)
    put(store, job(2, name="train"))
    assert store.find(Job, "default", "train").id == "job-0002"


def test_one_name_may_be_used_in_two_projects(store: Store) -> None:
    put(store, job(1, name="train"))
    put(store, job(2, name="train", project="vision"))
    assert store.find(Job, "vision", "train").id == "job-0002"


def test_an_id_is_never_used_twice_even_after_a_deletion(store: Store) -> None:
    (stored,) = put(store, job())
    store.commit([delete(stored)], actor=ACTOR)
    with pytest.raises(Conflict):
        put(store, job(name="other"))


def test_the_live_object_of_a_name_is_found_before_those_that_have_ended(store: Store) -> None:
    first = put(store, job(5, name="train"))[0]
    store.commit([update(ended(first))], actor=ACTOR)
    put(store, job(1, name="train"))
    assert store.find(Job, "default", "train").id == "job-0001"
    assert store.find(Job, "default", "job-0005").id == "job-0005"


def test_what_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="'nobody'"):
        store.find(Job, "default", "nobody")
    with pytest.raises(NotFound):
        store.get(Job, "nobody")
    assert store.look_up(Job, "default", "nobody") is None


def test_a_deleted_object_is_gone_for_readers_and_seen_once_more_by_watchers(store: Store) -> None:
    (stored,) = put(store, job())
    store.commit([delete(stored, Note("deleted", "Deleted."))], actor=ACTOR)
    assert store.look_up(Job, "default", stored.name) is None
    assert store.page(Job) == []
    (seen,) = store.changes(1)
    assert (seen.object.id, seen.is_deleted, seen.is_live) == (stored.id, True, False)


def test_a_deleted_object_cannot_be_changed_or_deleted_again(store: Store) -> None:
    (stored,) = put(store, job())
    gone = store.commit([delete(stored)], actor=ACTOR).objects[0]
    done = store.commit([update(gone), delete(gone)], actor=ACTOR, strict=False)
    assert len(done.conflicts) == 2


def test_a_create_that_is_repeated_with_its_key_stores_nothing_and_its_first_object_is_found(store: Store) -> None:
    store.commit([create(job(1), idempotency_key="k")], actor=ACTOR)
    done = store.commit([create(job(2), idempotency_key="k")], actor=ACTOR, strict=False)
    assert len(done.conflicts) == 1
    known = store.by_idempotency_key(Job, "default", "k")
    assert known is not None
    assert known.id == "job-0001"
    assert store.by_idempotency_key(Job, "vision", "k") is None


def test_a_key_counts_within_its_project_and_until_its_object_is_deleted(store: Store) -> None:
    store.commit([create(job(1), idempotency_key="k")], actor=ACTOR)
    store.commit([create(job(2, project="vision"), idempotency_key="k")], actor=ACTOR)
    store.commit([delete(store.get(Job, "job-0001"))], actor=ACTOR)
    store.commit([create(job(3), idempotency_key="k")], actor=ACTOR)
    assert store.get(Job, "job-0003").name == "j3"


def test_pages_go_from_the_newest_to_the_oldest(store: Store) -> None:
    put(store, *(job(number) for number in range(1, 6)))
    first = store.page(Job, limit=2)
    second = store.page(Job, limit=2, before=first[-1].id)
    assert [one.id[-1] for one in (*first, *second)] == ["5", "4", "3", "2"]


def test_pages_hold_one_project_or_all_and_live_objects_alone_if_asked(store: Store) -> None:
    (first,) = put(store, job(1), job(2), job(3, project="vision"))
    store.commit([update(ended(first))], actor=ACTOR)
    assert [one.id for one in store.page(Job, "default")] == ["job-0002", "job-0001"]
    assert [one.id for one in store.page(Job, live_only=True)] == ["job-0003", "job-0002"]


def test_what_an_object_owns_is_listed_oldest_first(store: Store) -> None:
    owner = job()
    put(store, owner, *(owned(owner, number) for number in range(1, 4)))
    assert [one.id[-1] for one in store.owned(Task, owner.id)] == ["1", "2", "3"]


def test_the_loop_loads_live_objects_and_what_they_own(store: Store) -> None:
    alive, dead = job(1), job(2)
    put(store, alive, owned(alive))
    put(store, dead, owned(dead))
    store.commit([update(ended(store.get(Job, dead.id)))], actor=ACTOR)
    revision, loaded = store.load_live()
    assert revision == store.revision() == 3
    assert {"job-0001", "job-0001-1"} <= {seen.object.id for seen in loaded}
    assert "job-0002" not in {seen.object.id for seen in loaded}


def test_the_feed_tells_each_change_once_in_the_order_of_the_commits(store: Store) -> None:
    put(store, job(1))
    put(store, job(2))
    store.commit([update(store.get(Job, "job-0001"))], actor=ACTOR)
    assert [(seen.object.id, seen.revision) for seen in store.changes(0)] == [("job-0002", 2), ("job-0001", 3)]
    assert [seen.object.id for seen in store.changes(2)] == ["job-0001"]
    assert store.changes(3) == []


def test_the_feed_may_be_narrowed_to_kinds_and_a_project(store: Store) -> None:
    put(store, job(1), owned(job(1)))
    put(store, job(2, project="vision"))
    assert [seen.object.id for seen in store.changes(0, kinds=(Job.KIND,))] == ["job-0001", "job-0002"]
    assert [seen.object.id for seen in store.changes(0, project="vision")] == ["job-0002"]


def test_kinds_that_nobody_serves_any_more_are_left_out(engine: sa.Engine, store: Store, clock: FakeClock) -> None:
    put(store, job())
    without_jobs = Store(engine, clock, KERNEL_KINDS)
    assert without_jobs.changes(0) == []
    assert without_jobs.load_live() == (1, [])


def test_events_come_with_their_change_and_in_its_order(store: Store) -> None:
    store.commit([create(job(), Note("a", "First."), Note("b", "Second."))], actor=ACTOR)
    told = store.events(object_id="job-0001")
    assert [(event.code, event.sentence, event.actor, event.at) for event in told] == [
        ("a", "First.", ACTOR, START),
        ("b", "Second.", ACTOR, START),
    ]


def test_events_are_read_on_from_a_cursor_or_from_the_end(store: Store) -> None:
    for number in range(1, 5):
        store.commit([create(job(number), Note(f"n{number}", "Made."))], actor=ACTOR)
    first = store.events(limit=2)
    assert [event.code for event in store.events(after=first[-1].seq)] == ["n3", "n4"]
    assert [event.code for event in store.events(limit=2, newest=True)] == ["n3", "n4"]
    assert store.events("vision") == []


def test_an_event_may_hold_what_a_program_printed(store: Store) -> None:
    """PostgreSQL refuses the character NUL in any text."""
    store.commit([create(job(command="printf x"), Note("failed", "It said \0 and 你好." + "x" * 5000))], actor=ACTOR)
    (event,) = store.events()
    assert event.sentence.startswith("It said \N{REPLACEMENT CHARACTER} and 你好.")
    assert len(event.sentence) == 2000


def test_audit_records_are_committed_with_their_change_or_not_at_all(store: Store) -> None:
    record = AuditRecord(
        at=START, actor=ACTOR, address="127.0.0.1", operation="job.create", project="default", outcome=Outcome.ALLOWED
    )
    store.commit([create(job())], actor=ACTOR, audit=[record])
    with pytest.raises(Conflict):
        store.commit([create(job())], actor=ACTOR, audit=[record])
    store.record([record.replace(outcome=Outcome.DENIED, detail="No \0 for you.")])
    written = store.audit_records()
    assert [one.outcome for one in written] == [Outcome.ALLOWED, Outcome.DENIED]
    assert store.audit_records(after=written[0].seq) == [written[1]]


def test_listeners_hear_of_each_commit_and_of_no_refusal(store: Store) -> None:
    heard: list[int] = []
    store.on_change(lambda: heard.append(store.revision()))
    put(store, job())
    with pytest.raises(Conflict):
        put(store, job())
    assert heard == [1]


def test_of_many_who_change_one_object_at_once_each_version_is_won_by_one(store: Store) -> None:
    put(store, job())
    rounds, threads = 10, 4

    def work() -> None:
        for _ in range(rounds):
            done = False
            while not done:
                change = update(store.get(Job, "job-0001"), Note("changed", "Changed."))
                done = not store.commit([change], actor=ACTOR, strict=False).conflicts

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert store.get(Job, "job-0001").metadata.version == 1 + rounds * threads
    assert len(store.events()) == rounds * threads


def test_the_store_tells_which_database_it_is(store: Store, engine: sa.Engine) -> None:
    assert store.dialect == engine.dialect.name
