"""The loop's picture of the store: what it keeps, what it forgets, and that it can be built anew at any time."""

from __future__ import annotations

from lepton_ai.kernel.change import create, delete, update
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.store import CHANGES_MAX
from lepton_ai.kernel.world import World
from lepton_ai.types.job import Job
from lepton_ai.types.resources import Allocation
from lepton_ai.types.task import Task, TaskState
from tests.unit.kernel.samples import finished
from tests.unit.kernel.store.samples import ended, job, owned


def put(store: Store, *things: Job | Task) -> None:
    store.commit([create(thing) for thing in things], actor="ada")


def end(store: Store, thing: Job) -> None:
    store.commit([update(ended(store.get(Job, thing.id)))], actor="ada")


def fresh(store: Store) -> World:
    world = World(store)
    world.refresh()
    return world


def test_it_begins_with_what_is_live_and_what_that_owns(store: Store) -> None:
    put(store, job(1), owned(job(1)), job(2))
    end(store, job(2))
    world = fresh(store)
    assert [thing.id for thing in world.all(Job)] == ["job-0001"]
    assert [task.id for task in world.tasks_of("job-0001")] == ["job-0001-1"]


def test_it_tells_what_changed_and_whose_owners_that_concerns(store: Store) -> None:
    put(store, job(1))
    world = fresh(store)
    put(store, owned(job(1)))
    assert world.refresh() == {"job-0001", "job-0001-1"}
    assert world.refresh() == set()


def test_it_tells_what_active_tasks_hold(store: Store) -> None:
    held = (Allocation(0, "here", 1000, 10**9, "cpu"), Allocation(1, "there", 500, 10**8, "cpu"))
    waiting, running = owned(job(1)), owned(job(2))
    running = running.with_status(state=TaskState.RUNNING, allocations=held)
    put(store, job(1), job(2), waiting, running)

    assert fresh(store).held() == list(held)


def test_it_takes_over_its_own_commits_without_reading_them_back(store: Store) -> None:
    world = fresh(store)
    done = store.commit([create(job(1))], actor="platform")
    assert world.absorb(done) == {"job-0001"}
    assert world.by_id("job-0001") == store.get(Job, "job-0001")


def test_it_reads_the_feed_if_somebody_else_committed_in_between(store: Store) -> None:
    world = fresh(store)
    put(store, job(1))
    assert world.absorb(store.commit([create(job(2))], actor="platform")) == {"job-0001", "job-0002"}


def test_ended_tasks_are_kept_while_their_owner_lives_and_forgotten_with_it(store: Store) -> None:
    task = finished("job-0001-1").replace(metadata=owned(job(1)).metadata)
    put(store, job(1), task)
    world = fresh(store)
    assert (len(world.tasks_of("job-0001")), world.all(Task)) == (1, [])
    end(store, job(1))
    world.refresh()
    assert (world.tasks_of("job-0001"), world.get(Task, task.id)) == ([], None)


def test_a_task_that_runs_is_kept_whatever_became_of_its_owner(store: Store) -> None:
    running = owned(job(1)).with_status(state=TaskState.RUNNING)
    put(store, job(1), running)
    end(store, job(1))
    assert [task.id for task in fresh(store).all(Task)] == [running.id]


def test_deleted_tasks_are_remembered_until_somebody_has_removed_their_logs(store: Store) -> None:
    put(store, job(1), owned(job(1)))
    world = fresh(store)
    store.commit([delete(store.get(Task, "job-0001-1"))], actor="ada")
    world.refresh()
    (task,) = world.deleted_tasks()
    assert world.deleted_tasks() == [task]
    world.forget_deleted(task)
    assert world.deleted_tasks() == []


def test_tasks_are_in_the_order_in_which_they_were_made_past_the_ninth_too(store: Store) -> None:
    """Ids count without leading zeros, so that their order is not that of time (seed 19 of the first simulation)."""
    attempts = [owned(job(1), number) for number in range(1, 13)]
    put(store, job(1), *(one.replace(spec=one.spec.replace(attempt=n)) for n, one in enumerate(attempts, start=1)))
    assert [task.spec.attempt for task in fresh(store).tasks_of("job-0001")] == list(range(1, 13))


def test_it_looks_up_what_has_ended_in_the_store(store: Store) -> None:
    put(store, job(1))
    end(store, job(1))
    world = fresh(store)
    assert world.get(Job, "job-0001") is None
    found = world.look_up(Job, "default", "j1")
    assert found is not None
    assert found.is_final()


def test_a_thing_is_found_under_its_own_kind_alone(store: Store) -> None:
    put(store, job(1))
    world = fresh(store)
    assert world.get(Task, "job-0001") is None
    assert world.ids(Job.KIND) == {"job-0001"}


def test_more_changes_than_one_read_of_the_feed_holds_are_all_seen(store: Store) -> None:
    """A read that is cut off in the middle of a commit must not lose the rest of it."""
    world = fresh(store)
    put(store, *(job(number) for number in range(CHANGES_MAX - 1)))
    put(store, *(job(number) for number in range(CHANGES_MAX - 1, CHANGES_MAX + 3)))
    assert len(world.refresh()) == CHANGES_MAX + 3
    assert len(world.all(Job)) == CHANGES_MAX + 3
