"""How SQLite answers each query: by an index, whatever has piled up beside what is asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

from lepton_ai.kernel.store import statements
from lepton_ai.kernel.store.engine import open_engine

NAMED: Mapping[str, object] = {"kind": "job", "project": "default", "name": "train"}
FEED: Mapping[str, object] = {"since": 7, "kinds": ["user", "token"], "project": "default", "limit": 5}


@pytest.fixture(scope="module")
def sqlite() -> sa.Engine:
    return open_engine("sqlite://")


def plan(engine: sa.Engine, query: sa.Executable, asked: Mapping[str, object] | None = None) -> list[str]:
    assert isinstance(query, sa.ClauseElement)
    written = query.compile(engine)
    assert isinstance(written, SQLCompiler)
    ready = written.construct_expanded_state(dict(asked or {}))
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {ready.statement}", tuple(ready.positional_parameters))
    return [row.detail for row in rows]


def of_objects(steps: list[str]) -> list[str]:
    return [step for step in steps if " objects" in step]


def test_a_name_is_looked_up_by_two_points(sqlite: sa.Engine) -> None:
    assert of_objects(plan(sqlite, statements.LOOK_UP, NAMED)) == [
        "SEARCH objects USING INDEX sqlite_autoindex_objects_1 (id=?)",
        "SEARCH objects USING INDEX objects_name (kind=? AND project=? AND name=?)",
    ]


def test_a_page_of_a_project_is_read_in_the_order_of_its_index(sqlite: sa.Engine) -> None:
    first = plan(sqlite, statements.page("job", "default", "", live_only=False))
    second = plan(sqlite, statements.page("job", "default", "job-7", live_only=False))
    assert first == ["SEARCH objects USING INDEX objects_page (kind=? AND project=?)"]
    assert second == ["SEARCH objects USING INDEX objects_page (kind=? AND project=? AND id<?)"]


def test_a_page_of_live_objects_passes_over_none_that_has_ended(sqlite: sa.Engine) -> None:
    of_project = plan(sqlite, statements.page("job", "default", "job-7", live_only=True))
    (of_all, _sorted) = plan(sqlite, statements.page("job", None, "", live_only=True))
    assert of_project == ["SEARCH objects USING INDEX objects_live (kind=? AND project=? AND id<?)"]
    assert of_all.startswith("SEARCH objects USING INDEX objects_live")


@pytest.mark.parametrize("feed", [statements.CHANGES, statements.CHANGES_OF_PROJECT])
def test_the_feed_is_read_in_the_order_of_the_commits(sqlite: sa.Engine, feed: sa.Select[tuple[object, ...]]) -> None:
    assert plan(sqlite, feed, FEED) == ["SEARCH objects USING INDEX objects_revision (revision>?)"]


def test_a_start_reads_live_objects_and_what_they_own_by_their_indexes(sqlite: sa.Engine) -> None:
    live, owned, owners = of_objects(plan(sqlite, statements.LIVE_AND_OWNED))
    assert live.startswith("SCAN objects USING INDEX objects_live")
    assert owned == "SEARCH objects USING INDEX objects_owner (owner_id=?)"
    assert owners.startswith("SCAN objects USING INDEX objects_live")


def test_what_is_pruned_is_found_by_its_index(sqlite: sa.Engine) -> None:
    asked = {"until": 7, "limit": 5}
    events = plan(sqlite, statements.PRUNE_EVENTS, asked)
    tombstones = plan(sqlite, statements.PRUNE_TOMBSTONES, asked)
    assert "SEARCH events USING INTEGER PRIMARY KEY (rowid<?)" in events
    assert "SEARCH objects USING INDEX objects_deleted (revision<?)" in tombstones
    assert not [step for step in (*events, *tombstones) if step.startswith("SCAN")]


def test_a_start_on_sqlite_does_not_wait_for_the_dialect_of_postgresql() -> None:
    asked = "import sys, lepton_ai.kernel.store; print('sqlalchemy.dialects.postgresql' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "False\n"
