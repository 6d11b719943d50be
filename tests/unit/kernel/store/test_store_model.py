"""The store against a model of it that fits on one page: whatever is done in whatever order, both agree."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from lepton_ai.kernel.change import Change, Note, create, delete, update
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.world import World
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.testing.platform import empty_engine
from lepton_ai.types.job import Job
from tests.unit.kernel.store.samples import ended, job

NAMES = st.sampled_from(("train", "serve", "sleep"))
KEYS = st.sampled_from(("", "", "k1", "k2"))


@dataclass(frozen=True)
class Row:
    """What the model remembers of one object."""

    name: str
    key: str
    version: int = 1
    is_live: bool = True
    is_deleted: bool = False


class StoreMachine(RuleBasedStateMachine):
    """`known` are objects as somebody once read them: some are current, others are old."""

    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(empty_engine(), FakeClock(), (Job,))
        self.world = World(self.store)
        self.rows: dict[str, Row] = {}
        self.commits = self.events = self.followed = 0
        self.follower: dict[str, int] = {}
        self.world.refresh()

    @rule(target=known, name=NAMES, key=KEYS)
    def make(self, name: str, key: str) -> object:
        made = job(len(self.rows) + 1, name=name)
        fits = not any(row.is_live and row.name == name for row in self.rows.values()) and not any(
            key and row.key == key and not row.is_deleted for row in self.rows.values()
        )
        stored = self._commit(create(made, Note("made", "Made."), idempotency_key=key), fits)
        self.rows |= {made.id: Row(name, key)} if fits else {}
        return stored if stored is not None else multiple()

    @rule(target=known, read=known)
    def change(self, read: Job) -> object:
        stored = self._commit(update(read, Note("changed", "Changed.")), self._is_current(read))
        self._move(read, stored is not None)
        return stored if stored is not None else multiple()

    @rule(target=known, read=known)
    def finish(self, read: Job) -> object:
        stored = self._commit(update(ended(read), Note("ended", "Ended.")), self._is_current(read))
        self._move(read, stored is not None, is_live=False)
        return stored if stored is not None else multiple()

    @rule(target=known, read=consumes(known))
    def remove(self, read: Job) -> object:
        stored = self._commit(delete(read, Note("deleted", "Deleted.")), self._is_current(read))
        self._move(read, stored is not None, is_live=False, is_deleted=True)
        return stored if stored is not None else multiple()

    @rule(one=known, other=known)
    def change_two_at_once(self, one: Job, other: Job) -> None:
        first = self._is_current(one)
        fits = [first, self._is_current(other) and not (first and one.id == other.id)]
        done = self.store.commit([update(one), update(other)], actor="ada", strict=False)
        self.commits += 1
        assert [seen.object.id for seen in done.seen] == [
            thing.id for thing, fit in zip((one, other), fits, strict=True) if fit
        ]
        self._move(one, fits[0])
        self._move(other, fits[1])

    @rule()
    def follow(self) -> None:
        """Read the feed on from where it was left, as a watcher does."""
        for seen in self.store.changes(self.followed):
            assert seen.revision >= self.followed
            self.followed = seen.revision
            self.follower[seen.object.id] = seen.object.metadata.version
        assert self.follower == {name: row.version for name, row in self.rows.items()}

    @rule()
    def refresh(self) -> None:
        """The loop's cache holds what is live, as it is now."""
        self.world.refresh()
        live = {name: row.version for name, row in self.rows.items() if row.is_live}
        assert {thing.id: thing.metadata.version for thing in self.world.all(Job)} == live

    @invariant()
    def every_object_is_as_the_model_has_it(self) -> None:
        stored = {thing.id: (thing.name, thing.metadata.version) for thing in self.store.page(Job)}
        assert stored == {name: (row.name, row.version) for name, row in self.rows.items() if not row.is_deleted}
        live = [thing.id for thing in self.store.page(Job, live_only=True)]
        assert live == sorted((name for name, row in self.rows.items() if row.is_live), reverse=True)

    @invariant()
    def every_commit_counts_once(self) -> None:
        assert self.store.revision() == self.commits
        assert len(self.store.events(limit=1000)) == self.events

    def _commit(self, change: Change, fits: bool) -> Job | None:
        done = self.store.commit([change], actor="ada", strict=False)
        self.commits += 1
        self.events += len(change.notes) if fits else 0
        assert bool(done.objects) is fits
        assert bool(done.conflicts) is not fits
        found = done.objects[0] if done.objects else None
        assert found is None or isinstance(found, Job)
        return found

    def _is_current(self, read: Job) -> bool:
        row = self.rows[read.id]
        return row.version == read.metadata.version and not row.is_deleted

    def _move(self, read: Job, is_done: bool, *, is_live: bool = True, is_deleted: bool = False) -> None:
        row = self.rows[read.id]
        if is_done:
            live = is_live and row.is_live and not read.is_final()
            key = "" if is_deleted else row.key
            self.rows[read.id] = replace(row, version=row.version + 1, is_live=live, is_deleted=is_deleted, key=key)


StoreMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestStore = StoreMachine.TestCase
