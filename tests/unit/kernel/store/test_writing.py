"""Many changes written together: what comes of them is what comes of them one by one, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from lepton_ai.errors import Conflict
from lepton_ai.kernel.change import Change, Note, create, update
from lepton_ai.kernel.store import Store
from lepton_ai.types.job import Job
from tests.unit.kernel.store.samples import ended, job

MANY = 20


def jobs(store: Store) -> dict[str, int]:
    return {one.name: one.metadata.version for one in store.page(Job)}


def fill(store: Store) -> list[Job]:
    stored = store.commit([create(job(number)) for number in range(MANY)], actor="ada").objects
    return [one for one in stored if isinstance(one, Job)]


@pytest.fixture
def said(engine: sa.Engine) -> list[str]:
    """The statements that are sent, empty for those that are sent for one row."""
    heard: list[str] = []

    def hear(_connection: object, _cursor: object, text: str, *more: object) -> None:
        is_for_many = more[-1]
        heard.append(text if is_for_many else "")

    sa.event.listen(engine, "before_cursor_execute", hear)
    return heard


def test_they_are_sent_in_two_statements_however_many_they_are(store: Store, said: list[str]) -> None:
    before = fill(store)
    said.clear()
    store.commit([create(job(MANY)), *(update(one) for one in before), *more_jobs()], actor="ada", strict=False)
    assert [text.split()[0] for text in said if text] == ["INSERT", "UPDATE"]
    assert set(jobs(store).values()) == {1, 2}


def more_jobs() -> list[Change]:
    return [create(job(number)) for number in range(MANY + 1, MANY + 5)]


def test_each_event_follows_its_own_change(store: Store) -> None:
    store.commit([create(job(number), Note("made", f"{number}")) for number in range(MANY)], actor="ada")
    assert [(one.object_id, one.sentence) for one in store.events("default")] == [
        (f"job-{number:04}", str(number)) for number in range(MANY)
    ]


def test_one_that_loses_is_told_and_the_others_are_written(store: Store) -> None:
    before = fill(store)
    store.commit([update(before[3])], actor="bob")
    done = store.commit([update(one) for one in before], actor="ada", strict=False)
    assert [change.object.id for change in done.conflicts] == [before[3].id]
    assert set(jobs(store).values()) == {2}
    assert len(done.objects) == MANY - 1


def test_one_that_loses_takes_all_of_a_strict_commit_with_it(store: Store) -> None:
    before = fill(store)
    with pytest.raises(Conflict, match="'j3' already exists"):
        store.commit([*(update(one) for one in before), create(job(99, name="j3"))], actor="ada")
    assert set(jobs(store).values()) == {1}


def test_a_name_that_one_change_frees_is_free_for_the_next(store: Store) -> None:
    before = fill(store)
    wanted = [*(update(ended(one)) for one in before), *(create(job(100 + n, name=f"j{n}")) for n in range(MANY))]
    assert store.commit(wanted, actor="ada", strict=False).conflicts == []


def test_an_object_may_be_made_and_changed_in_one_commit(store: Store) -> None:
    made = job(1)
    changed = update(ended(made).replace(metadata=made.metadata.replace(version=1)))
    store.commit([create(made), changed, *more_jobs()], actor="ada")
    assert store.get(Job, made.id).is_final()
