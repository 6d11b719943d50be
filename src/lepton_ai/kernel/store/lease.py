"""The lease: which core leads, by a row in the database that it renews. The epoch fences whoever led before (ADR 0023).

Times are the database's own, so that no two machines need agree on them. What a core may still do is told by its own
steady clock, counted from before it asked: it stops before anybody else can begin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from lepton_ai.errors import InvalidInput, NotLeading
from lepton_ai.kernel.clock import steady_seconds
from lepton_ai.kernel.store import rows
from lepton_ai.kernel.store.engine import session_name, translate
from lepton_ai.kernel.store.schema import lease as lease_table
from lepton_ai.kernel.store.schema import revision

# A core that is killed is followed after LEASE_SECONDS at most, and one more look. Three renewals may go wrong.
LEASE_SECONDS = 3.0
RENEW_SECONDS = 0.75
LOOK_SECONDS = 0.2
TAKE_WAIT_MS = 500  # how long to wait for the last commit of the core before

NOW: sa.ColumnElement[float] = sa.literal_column("extract(epoch from clock_timestamp())::float8")
_END_SESSIONS = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = :session AND pid <> pg_backend_pid()"
)
_GIVE_UP_SOON = sa.text(f"SET LOCAL lock_timeout = {TAKE_WAIT_MS}")


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who leads: the id and address of that core, its epoch, and for how many seconds still (negative: no more)."""

    epoch: int
    holder: str
    url: str
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A core that may lead: its id, the address at which it is reached, and the hash of the key that it holds."""

    core_id: str
    url: str
    key_hash: str = ""


class Lease:
    """One core's part in the choice of who leads. Only PostgreSQL has one. Raises StorageFailed like the store."""

    def __init__(
        self, engine: sa.Engine, candidate: Candidate, *, steady: Callable[[], float] = steady_seconds
    ) -> None:
        self._engine = engine
        self._candidate = candidate
        self._core_id = candidate.core_id
        self._steady = steady
        self._held_until = 0.0
        self.epoch = 0

    def look(self) -> Leadership:
        """Return who leads now."""
        columns = lease_table.c
        query = sa.select(columns.epoch, columns.holder, columns.url, (columns.expires_at - NOW).label("left"))
        with self._connected() as connection:
            row = connection.execute(query).one()
        return Leadership(row.epoch, row.holder, row.url, row.left)

    def check_key(self) -> None:
        """Raise InvalidInput unless this core holds the key of the platform in that database, if there is one yet."""
        with self._connected() as connection:
            known = connection.execute(sa.select(lease_table.c.key_hash)).scalar_one()
        if known not in {"", self._candidate.key_hash}:
            raise InvalidInput(
                "This state folder does not hold the keys of the platform in that database.",
                hint="Where a core of it runs: lepton core export FILE; here: lepton core import FILE",
            )

    def has_led(self) -> bool:
        """Tell whether any core ever led in that database."""
        return self.look().epoch > 0

    def try_take(self) -> bool:
        """Lead from now on, unless somebody else does; a lease of our own from before is taken at once.

        Whoever led before can write no more, also if it sleeps in the middle of a commit: its connections are ended.
        """
        asked_at = self._steady()
        with self._connected(is_transaction=True) as connection:
            connection.execute(_GIVE_UP_SOON)
            columns = lease_table.c
            is_free = sa.or_(columns.expires_at <= NOW, columns.holder == self._core_id)
            before = connection.execute(sa.select(columns.holder).where(is_free).with_for_update()).scalar()
            if before is None:
                return False
            one = self._candidate
            taken = sa.update(lease_table).values(holder=one.core_id, url=one.url, key_hash=one.key_hash)
            later = taken.values(expires_at=NOW + LEASE_SECONDS, epoch=columns.epoch + 1)
            epoch = connection.execute(later.returning(columns.epoch)).scalar_one()
            if before not in {"", self._core_id}:
                connection.execute(_END_SESSIONS, {"session": session_name(before)})
            connection.execute(sa.update(revision).values(epoch=epoch))
        self.epoch, self._held_until = epoch, asked_at + LEASE_SECONDS
        return True

    def renew(self) -> bool:
        """Lead for LEASE_SECONDS more; False if another core has taken over, and then this one never leads again.

        One that was late, because it slept or the database was away, goes on if nobody else has begun meanwhile.
        """
        asked_at = self._steady()
        ours = sa.and_(lease_table.c.epoch == self.epoch, lease_table.c.holder == self._core_id)
        later = sa.update(lease_table).where(ours).values(expires_at=NOW + LEASE_SECONDS)
        with self._connected(is_transaction=True) as connection:
            is_ours = connection.execute(later).rowcount == 1
        self._held_until = asked_at + LEASE_SECONDS if is_ours else 0.0
        return is_ours

    def give_back(self) -> None:
        """Let another core lead at once; nothing if another does already."""
        self._held_until = 0.0
        ours = sa.and_(lease_table.c.epoch == self.epoch, lease_table.c.holder == self._core_id)
        with self._connected(is_transaction=True) as connection:
            connection.execute(sa.update(lease_table).where(ours).values(expires_at=0.0))

    def check(self) -> None:
        """Raise NotLeading unless this core surely leads now: to be asked right before anything that others can see."""
        late = self._steady() - self._held_until
        if late >= 0:
            raise NotLeading(
                f"This core cannot be sure that it leads: its lease of {LEASE_SECONDS:g} s ended {late:.1f} s ago.",
                hint="It goes on as soon as the database confirms it; if another core leads, this one stands by.",
            )

    def _connected(self, *, is_transaction: bool = False) -> rows.Translated:
        opened = self._engine.begin if is_transaction else self._engine.connect
        return rows.Translated(opened, self._engine, translate)
