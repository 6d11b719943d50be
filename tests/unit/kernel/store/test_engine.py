"""Opening the database: tables brought up to date, and a next step for everything that can be wrong with it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from lepton_ai.errors import StorageFailed
from lepton_ai.kernel.change import create
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.engine import HEAD, MIGRATIONS, open_engine
from lepton_ai.kernel.store.schema import metadata
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.types.job import Job
from tests.unit.kernel.store.samples import job


def sqlite(path: Path) -> str:
    return f"sqlite:///{path}"


def log_left_by_a_process_that_was_killed(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def test_the_migrations_make_the_tables_of_the_schema(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize(("name", "is_unique"), [("objects_live_name", True), ("objects_live", False)])
def test_the_indexes_of_live_objects_hold_live_rows_alone(engine: sa.Engine, name: str, is_unique: bool) -> None:
    indexes = {str(found["name"]): found for found in sa.inspect(engine).get_indexes("objects")}
    options = indexes[name]["dialect_options"]
    assert bool(indexes[name]["unique"]) is is_unique
    assert "is_live" in str(options.get("sqlite_where", options.get("postgresql_where")))


def test_the_newest_migration_is_the_one_that_the_engine_knows() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD


def test_what_was_stored_is_there_when_the_database_is_opened_again(tmp_path: Path) -> None:
    url = sqlite(tmp_path / "lepton.db")
    Store(open_engine(url), FakeClock(), (Job,)).commit([create(job())], actor="ada")
    assert Store(open_engine(url), FakeClock(), (Job,)).get(Job, "job-0001").name == "j1"


def test_a_commit_survives_a_power_cut() -> None:
    with open_engine("sqlite://").connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_readers_of_sqlite_do_not_wait_for_writers(tmp_path: Path) -> None:
    with open_engine(sqlite(tmp_path / "lepton.db")).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_database_of_a_newer_version_is_refused(engine: sa.Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    with engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    try:
        with pytest.raises(StorageFailed, match="its schema is 9999") as caught:
            open_engine(url)
    finally:
        with engine.execution_options(writes=True).begin() as connection:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{HEAD}'")
    assert "pip install --upgrade" in caught.value.hint


def test_a_file_that_is_no_database_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "lepton.db").write_bytes(b"This was never a database. " * 1000)
    with pytest.raises(StorageFailed, match="is damaged: file is not a database") as caught:
        open_engine(sqlite(tmp_path / "lepton.db"))
    assert "Put a backup in its place" in caught.value.hint


def test_damage_in_a_small_database_is_found_although_it_was_closed_well(tmp_path: Path) -> None:
    path = tmp_path / "lepton.db"
    engine = open_engine(sqlite(path))
    Store(engine, FakeClock(), (Job,)).commit([create(job(number)) for number in range(500)], actor="ada")
    engine.dispose()
    assert not log_left_by_a_process_that_was_killed(path).exists()
    whole = path.read_bytes()
    half = len(whole) // 8192 * 4096
    path.write_bytes(whole[:half] + b"\xff" * 40960 + whole[half + 40960 :])
    with pytest.raises(StorageFailed, match="is damaged"):
        open_engine(sqlite(path))


def test_a_process_that_ends_by_itself_leaves_no_log_behind_and_one_that_is_killed_does(tmp_path: Path) -> None:
    path = tmp_path / "lepton.db"
    opens = f"import os; from lepton_ai.kernel.store.engine import open_engine; e = open_engine({sqlite(path)!r}); "
    subprocess.run([sys.executable, "-c", f"{opens}os.kill(os.getpid(), 9)"], timeout=60, check=False)
    assert log_left_by_a_process_that_was_killed(path).exists()
    subprocess.run([sys.executable, "-c", opens], timeout=60, check=True)
    assert not log_left_by_a_process_that_was_killed(path).exists()


def test_a_database_with_torn_pages_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "lepton.db"
    store = Store(engine := open_engine(sqlite(path)), FakeClock(), (Job,))
    store.commit([create(job(number)) for number in range(500)], actor="ada")
    engine.dispose()
    whole = path.read_bytes()
    half = len(whole) // 8192 * 4096
    path.write_bytes(whole[:half] + b"\xff" * 40960 + whole[half + 40960 :])
    log_left_by_a_process_that_was_killed(path).touch()
    with pytest.raises(StorageFailed, match="is damaged"):
        open_engine(sqlite(path))


def test_a_folder_that_cannot_be_written_is_named() -> None:
    """In /proc nobody can make a file, not even root, whom no mode of a folder would stop."""
    with pytest.raises(StorageFailed, match=r"/proc/lepton\.db cannot be written") as caught:
        open_engine("sqlite:////proc/lepton.db")
    assert caught.value.hint == "Check its folder's owner and mode."


def test_a_database_that_may_only_be_read_refuses_writes_with_the_next_step(tmp_path: Path) -> None:
    path = tmp_path / "lepton.db"
    engine = open_engine(sqlite(path))
    engine.dispose()
    sqlite3.connect(path).execute("PRAGMA journal_mode=DELETE")
    read_only = sa.create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(StorageFailed, match="cannot be written: attempt to write a readonly database"):
        Store(read_only, FakeClock(), (Job,)).commit([create(job())], actor="ada")


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(StorageFailed, match="does not answer") as caught:
        open_engine("postgresql+psycopg://ada:tell-nobody@127.0.0.1:1/lepton?connect_timeout=2")
    assert "tell-nobody" not in str(caught.value)
    assert "ada:***@127.0.0.1:1" in str(caught.value)


@pytest.mark.parametrize("url", ["no url at all", "postgresql://ada:tell-nobody@", "sqlite:/one-slash"])
def test_a_setting_that_is_no_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(StorageFailed) as caught:
        open_engine(url)
    assert "tell-nobody" not in str(caught.value)
    assert caught.value.hint


def test_a_driver_that_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(StorageFailed, match="is not installed") as caught:
        open_engine("mysql+pymysql://ada@127.0.0.1/lepton")
    assert caught.value.hint


def test_a_database_that_goes_away_under_the_store_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    path = tmp_path / "lepton.db"
    engine = open_engine(sqlite(path))
    with engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("DROP TABLE objects")
    with pytest.raises(StorageFailed) as caught:
        Store(engine, FakeClock(), (Job,)).page(Job)
    assert caught.value.hint == "See: lepton doctor"


def test_a_pool_that_runs_out_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    open_engine(sqlite(tmp_path / "lepton.db")).dispose()
    small = sa.create_engine(sqlite(tmp_path / "lepton.db"), pool_size=1, max_overflow=0, pool_timeout=0.01)
    with small.connect(), pytest.raises(StorageFailed, match="does not answer"):
        Store(small, FakeClock(), (Job,)).page(Job)
