"""A store on each kind of database: SQLite in a file, and a real PostgreSQL server that a wheel brings along."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.engine import open_engine
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.testing.platform import KERNEL_KINDS, empty_engine
from lepton_ai.testing.postgres import postgres_server
from lepton_ai.types.job import Job


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'lepton.db'}"


@pytest.fixture(scope="session")
def engines() -> Iterator[dict[str, sa.Engine]]:
    """The engines that were opened, by URL: to empty one is faster than to open another."""
    opened: dict[str, sa.Engine] = {}
    yield opened
    for engine in opened.values():
        engine.dispose()


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def engine(request: pytest.FixtureRequest, engines: dict[str, sa.Engine]) -> sa.Engine:
    """An empty database of each kind."""
    url = str(request.getfixturevalue(request.param))
    engines[url] = engines.get(url) or open_engine(url)
    return empty_engine(engines[url])


@pytest.fixture
def store(engine: sa.Engine, clock: FakeClock) -> Store:
    return Store(engine, clock, (*KERNEL_KINDS, Job))
