"""Open the database: SQLite in WAL mode by default, PostgreSQL by URL; bring its tables up to date."""

from __future__ import annotations

import sqlite3
import weakref
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from lepton_ai.errors import StorageFailed
from lepton_ai.kernel.store.rows import FOREIGN, Foreign

BUSY_TIMEOUT_SECONDS = 10.0
CHECKED_BYTES_MAX = 256 * 1024 * 1024  # half a second of every start
MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0003"  # the newest migration; a test holds it to the folder


# A core whose machine or network is gone must not keep a connection busy for minutes, and one that hangs must notice.
# libpq's own names (https://www.postgresql.org/docs/current/libpq-connect.html); what the URL says goes first.
POSTGRESQL_OPTIONS = {
    "connect_timeout": "3",
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "4000",
}
MIGRATION_LOCK = 5_351_680_023  # a number that others are not likely to lock: two cores may start at once


def open_engine(url: str, *, core_id: str = "", migrates: bool = True) -> sa.Engine:
    """Return an engine whose tables are current; raises StorageFailed with the file and the way out.

    PostgreSQL knows the connections by `core_id`. Without `migrates`, tables that are there stay as they are: a core
    that only stands by must not change them under the one that leads.
    """
    try:
        engine = _make_engine(url, core_id)
        if _is_worth_a_check(engine):
            _check_integrity(engine)
        if migrates or not sa.inspect(engine).has_table("lease"):
            _migrate(engine)
    except FOREIGN as error:
        raise translate(error, url) from error
    except sa.exc.ArgumentError as error:
        raise StorageFailed(
            f"The database setting is not a URL that SQLAlchemy knows: {_without_password(url)!r}.",
            hint="Write sqlite:////path/lepton.db or postgresql+psycopg://user@host/name, or leave it empty.",
        ) from error
    except ModuleNotFoundError as error:
        raise StorageFailed(
            f"The database driver {error.name!r} is not installed.", hint="Run: pip install 'psycopg[binary]'"
        ) from error
    return engine


def migrate(engine: sa.Engine) -> None:
    """Bring the tables up to date; raises StorageFailed."""
    try:
        _migrate(engine)
    except FOREIGN as error:
        raise translate(error, engine.url.render_as_string(hide_password=True)) from error


def session_name(core_id: str) -> str:
    """Return what PostgreSQL calls the connections of that core."""
    return f"lepton-ai {core_id}"


def translate(error: Foreign, url: str) -> StorageFailed:
    """Turn what the driver said into a fact and a next step."""
    said = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig else error
    text = (str(said).strip().splitlines() or [type(said).__name__])[0]
    where = _without_password(url)
    if "malformed" in text or "not a database" in text or "corrupt" in text:
        return StorageFailed(
            f"The database {where} is damaged: {text}.",
            hint="Put a backup in its place, or move it away to start empty: "
            "running replicas are then no longer known to the platform.",
        )
    if "readonly" in text or "unable to open" in text:
        return StorageFailed(
            f"The database {where} cannot be written: {text}.", hint="Check its folder's owner and mode."
        )
    if "full" in text:
        return StorageFailed(
            f"No space is left for the database {where}.", hint="Free some disk space; nothing was lost."
        )
    return StorageFailed(f"The database {where} does not answer: {text}.", hint="See: lepton doctor")


def _make_engine(url: str, core_id: str) -> sa.Engine:
    if not url.startswith("sqlite"):
        wanted = POSTGRESQL_OPTIONS | {"application_name": session_name(core_id)}
        options = {name: value for name, value in wanted.items() if name not in sa.make_url(url).query}
        engine = sa.create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=40, connect_args=options)
        sa.event.listen(engine, "begin", _begin_postgresql)
        return engine
    in_memory = url in {"sqlite://", "sqlite:///:memory:"}
    engine = (
        sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        if in_memory
        else sa.create_engine(
            url,
            pool_size=8,
            max_overflow=40,
            connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )
    )
    # Whoever closes the last connection writes the log back into the database and removes it.
    weakref.finalize(engine, engine.pool.dispose)
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transaction handling starts transactions late and ends them on DDL; we say BEGIN ourselves.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY", "cache_size=-4000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("writes"):
        connection.exec_driver_sql("BEGIN")
        return
    # In WAL mode NORMAL leaves out the fsync of the commit; the next FULL one brings it to disk with its own.
    connection.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if options.get('is_lazy') else 'FULL'}")
    # A deferred transaction that reads and then writes can fail with SQLITE_BUSY at once, whatever the time-out says.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_postgresql(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("is_lazy"):
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")


def _is_worth_a_check(engine: sa.Engine) -> bool:
    """Tell whether to read the whole file, at 2 s for each GB: a small one always, a large one after a bad end."""
    if engine.dialect.name != "sqlite" or not engine.url.database or engine.url.database == ":memory:":
        return False
    file = Path(engine.url.database)
    is_small = file.exists() and file.stat().st_size <= CHECKED_BYTES_MAX
    return is_small or Path(f"{file}-wal").exists()


def _check_integrity(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise sa.exc.DatabaseError(
            "PRAGMA quick_check", None, sqlite3.DatabaseError(f"database disk image is malformed: {found}")
        )


def _migrate(engine: sa.Engine) -> None:
    with engine.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        if sa.inspect(connection).has_table("alembic_version"):
            current = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
            if current == HEAD:
                return  # Importing Alembic costs 0.1 s of every start; most starts have nothing to migrate.
            _refuse_newer(str(current))
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _refuse_newer(current: str) -> None:
    known = {path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("*.py")}
    if current not in known:
        raise StorageFailed(
            f"The state folder was written by a newer Lepton AI: its schema is {current}, this one knows {HEAD}.",
            hint="Upgrade: pip install --upgrade lepton-ai",
        )


def _without_password(url: str) -> str:
    try:
        return sa.engine.make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return url.rsplit("@", maxsplit=1)[-1]
