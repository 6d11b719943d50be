"""Who leads: one core at a time, until its lease ends; and nobody who led before can write any more."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from lepton_ai.errors import InvalidInput, NotLeading, StorageFailed
from lepton_ai.kernel.change import create, update
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.engine import open_engine
from lepton_ai.kernel.store.lease import LEASE_SECONDS, Candidate, Lease
from lepton_ai.kernel.store.schema import lease as lease_table
from lepton_ai.kernel.store.schema import revision
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.testing.platform import empty_engine
from lepton_ai.types.job import Job
from tests.unit.kernel.store.samples import job

PATIENCE_SECONDS = 60
FIRST = Candidate("first", "https://first:8443", "the key")
SECOND = Candidate("second", "https://second:8443", "the key")


class Steady:
    """A steady clock that is turned by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def database(postgres_url: str, engines: dict[str, sa.Engine]) -> sa.Engine:
    engines[postgres_url] = engines.get(postgres_url) or open_engine(postgres_url)
    return empty_engine(engines[postgres_url])


@pytest.fixture
def first(database: sa.Engine) -> Lease:
    """The lease of a core that leads."""
    lease = Lease(database, FIRST)
    assert lease.try_take()
    return lease


@pytest.fixture
def second(database: sa.Engine) -> Lease:
    return Lease(database, SECOND)


def end_of_lease(database: sa.Engine) -> None:
    """Make the lease end now, as if nobody had renewed it for its whole time."""
    with database.begin() as connection:
        connection.execute(sa.update(lease_table).values(expires_at=0.0))


def store_of(database: sa.Engine, lease: Lease) -> Store:
    return Store(database, FakeClock(), (Job,), epoch=lease.epoch)


def test_while_one_core_leads_no_other_does_and_can_see_who(first: Lease, second: Lease) -> None:
    assert not second.try_take()
    seen = second.look()
    assert (seen.holder, seen.url, seen.epoch) == ("first", "https://first:8443", 1)
    assert 0 < seen.seconds_left <= LEASE_SECONDS


def test_a_lease_that_ended_is_taken_by_the_next_under_a_higher_epoch(
    database: sa.Engine, first: Lease, second: Lease
) -> None:
    end_of_lease(database)
    assert second.try_take()
    assert second.epoch == first.epoch + 1
    assert not first.renew()


def test_a_lease_that_is_given_back_is_free_at_once(first: Lease, second: Lease) -> None:
    first.give_back()
    assert second.try_take()
    first.give_back()
    assert second.renew()


def test_a_core_that_starts_again_takes_its_own_lease_without_waiting(database: sa.Engine, first: Lease) -> None:
    again = Lease(database, FIRST)
    assert again.try_take()
    assert again.epoch == first.epoch + 1


def test_a_core_that_was_late_goes_on_unless_another_has_begun(
    database: sa.Engine, first: Lease, second: Lease
) -> None:
    end_of_lease(database)
    assert first.renew()
    assert not second.try_take()


def test_of_many_that_try_at_once_one_leads(database: sa.Engine, first: Lease) -> None:
    end_of_lease(database)
    cores = [Lease(database, Candidate(f"core-{number}", "")) for number in range(8)]
    leads: list[bool] = []
    threads = [threading.Thread(target=lambda core=core: leads.append(core.try_take())) for core in cores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert sorted(leads) == [False] * 7 + [True]


def test_a_core_that_lost_its_lease_writes_nothing_more(database: sa.Engine, first: Lease, second: Lease) -> None:
    before = store_of(database, first)
    before.commit([create(job())], actor="ada")
    end_of_lease(database)
    assert second.try_take()
    with pytest.raises(NotLeading, match=r"its epoch is 1, and https://second:8443 leads with epoch 2"):
        before.commit([update(before.get(Job, "job-0001"))], actor="ada")
    with pytest.raises(NotLeading):
        before.commit([update(before.get(Job, "job-0001"))], actor="ada", strict=False)
    with pytest.raises(NotLeading):
        before.record([])
    with pytest.raises(NotLeading):
        before.prune()
    now = store_of(database, second)
    assert now.revision() == 1
    assert now.commit([update(now.get(Job, "job-0001"))], actor="ada").revision == 2


def test_a_core_that_sleeps_in_the_middle_of_a_commit_cannot_end_it(postgres_url: str, database: sa.Engine) -> None:
    sleeper = open_engine(postgres_url, core_id="first")
    first, second = Lease(sleeper, FIRST), Lease(database, SECOND)
    assert first.try_take()
    asleep = sleeper.connect()
    asleep.execute(sa.update(revision).values(last=7))
    end_of_lease(database)
    assert second.try_take()
    with pytest.raises(sa.exc.DBAPIError):
        asleep.commit()
    assert store_of(database, second).revision() == 0
    asleep.invalidate()
    sleeper.dispose()


def test_a_commit_of_a_core_that_is_no_lepton_session_delays_the_take_over_and_does_not_break_it(
    database: sa.Engine, first: Lease, second: Lease
) -> None:
    end_of_lease(database)
    with database.begin() as stranger:
        stranger.execute(sa.update(revision).values(last=revision.c.last))
        with pytest.raises(StorageFailed, match="lock timeout"):
            second.try_take()
    assert second.try_take()


def test_a_core_acts_only_while_it_surely_leads(database: sa.Engine) -> None:
    steady = Steady()
    lease = Lease(database, FIRST, steady=steady)
    with pytest.raises(NotLeading):
        lease.check()
    assert lease.try_take()
    lease.check()
    steady.seconds += LEASE_SECONDS - 0.1
    lease.check()
    steady.seconds += 0.1
    with pytest.raises(NotLeading, match=r"its lease of 3 s ended 0\.0 s ago"):
        lease.check()
    assert lease.renew()
    lease.check()


def test_readers_of_the_feed_miss_no_commit_of_many_writers(database: sa.Engine) -> None:
    """A number that is seen before a lower one would hide that one from whoever asks for what came since."""
    stores = [Store(database, FakeClock(), (Job,)) for _ in range(4)]
    made = {job(number).id for number in range(100)}
    seen: set[str]
    reader, seen, since = Store(database, FakeClock(), (Job,)), set(), 0

    def write(writer: int) -> None:
        for number in range(25):
            stores[writer].commit([create(job(25 * writer + number))], actor="ada")

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or since < reader.revision():
        for one in reader.changes(since):
            seen.add(one.object.id)
            since = one.revision
    assert seen == made


def test_a_core_without_the_keys_of_the_platform_is_refused(database: sa.Engine, first: Lease, second: Lease) -> None:
    second.check_key()
    with pytest.raises(InvalidInput, match="does not hold the keys") as caught:
        Lease(database, Candidate("third", "https://third:8443", "another key")).check_key()
    assert "lepton core export" in caught.value.hint
